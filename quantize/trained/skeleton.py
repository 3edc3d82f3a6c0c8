"""The layers of a graph by name and order, to match them with those of the same network's graph for another size.

Graphs for any size compute shapes at run time and those for a fixed size do not, so the numbers in operator names may
differ (``concat3``, ``concat5``). The layers themselves are the same, in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.quantize.placement import floats as placement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Graph


@dataclass(frozen=True)
class Layer:
    """A node that computes real values: name, operator, inputs (empty string: not a real value) and outputs."""

    name: str
    operator: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Renaming:
    """New names of the nodes and of the values of a graph."""

    nodes: Mapping[str, str]
    values: Mapping[str, str]

    def value(self, name: str) -> str:
        """The new name of a value; of a derived value (``<name>.int8``), the new base name with its suffix."""
        if name in self.values:
            return self.values[name]
        base, dot, suffix = name.rpartition(".")
        return f"{self.value(base)}.{suffix}" if dot else name


def layers(graph: Graph) -> tuple[Layer, ...]:
    """The layers of a graph; shape computations are left out."""
    return tuple(
        Layer(
            placement.name_of(node),
            node.op_type,
            tuple(graphs.name_of(v) if v is not None and _is_real(v) else "" for v in node.inputs),
            tuple(graphs.name_of(v) for v in node.outputs),
        )
        for node in graphs.computed(graph.model.graph)
        if any(_is_data(value) for value in node.outputs)
    )


def renaming(before: Sequence[Layer], after: Sequence[Layer]) -> Renaming:
    """The renaming from the layers ``before`` to the same layers ``after``.

    Raises:
        BadInput: layers or their connections differ; the message names the first that does.
    """
    nodes: dict[str, str] = {}
    values: dict[str, str] = {}
    for old, new in zip(before, after, strict=False):
        alike = old.operator == new.operator and len(old.writes) == len(new.writes)
        pairs = [(a, b) for a, b in zip(old.reads, new.reads, strict=False) if a and b] + list(
            zip(old.writes, new.writes, strict=False)
        )
        if not alike or any(values.setdefault(a, b) != b for a, b in pairs):
            raise BadInput(f"layer {new.name} ({new.operator}) was {old.name} ({old.operator}), with other inputs")
        nodes[old.name] = new.name
    if len(before) != len(after):
        raise BadInput(f"it has {len(after)} layers instead of {len(before)}")
    return Renaming(nodes, values)


def _is_real(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype.is_floating_point()


def _is_data(value: ir.Value) -> bool:
    """Whether a value is data, not a computed size or scale."""
    return _is_real(value) and (value.shape is None or len(value.shape) > 1)
