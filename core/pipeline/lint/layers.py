"""Identification of layers in findings: the name in the exported graph, the module, the source line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs
from clearport.pipeline.lint.values import Layer

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

    from clearport.base import Graph, Origin


class Layers:
    """The layers of a graph, by node and by tensors in files."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name or "": node for node in graphs.computed(graph.model.graph)}
        self._writers = {graphs.name_of(v): node for node in self.nodes.values() for v in node.outputs}

    def of(self, node: ir.Node) -> Layer:
        """The layer of a node of the graph, or of a node with that name in a derived graph."""
        origin = self.graph.origins.get(node.name or "")
        known = {} if origin is None else {"module": origin.module, "source": _line(origin)}
        return Layer(name=node.name or graphs.name_of(node.outputs[0]), operator=node.op_type, **known)

    def all_of(self, nodes: Iterable[ir.Node]) -> tuple[Layer, ...]:
        """The layers of some nodes."""
        return tuple(map(self.of, nodes))

    def named(self, name: str) -> Layer | None:
        """The layer with a node's name; None if the graph has none."""
        return self.of(self.nodes[name]) if name in self.nodes else None

    def writing(self, tensor: str, operator: str = "") -> Layer:
        """The layer to which a tensor of a file belongs; a layer of the file itself if the graph has no counterpart.

        Writers name additional tensors after their neighbors: ``conv1.out/rows``, ``restored/int8``.
        """
        words = tensor
        while words:
            if words in self._writers:
                return self.of(self._writers[words])
            if words in self.nodes:
                return self.of(self.nodes[words])
            words = words[: max(words.rfind("/"), words.rfind("."), 0)]
        return Layer(name=tensor, operator=operator)

    def node(self, layer: Layer) -> ir.Node | None:
        """The node of a layer of this graph."""
        return self.nodes.get(layer.name)


def _line(origin: Origin) -> str:
    if not origin.file:
        return ""
    path = Path(origin.file)
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{near.as_posix()}:{origin.line}"
