"""The source line or file node from which each layer of a graph comes.

Nodes carry it through the passes in onnx_ir's ``meta``, which is never written to files.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Origin

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Graph

_KEY = "clearport.origin"
_SCOPES, _TRACE = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.stack_trace"
"""Metadata keys of PyTorch's exporter for an operator's enclosing modules and call stack."""
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')


def from_torch(model: ir.Model) -> None:
    """Record the origins that PyTorch's exporter stored in each node."""
    for node in model.graph:
        file, line = _innermost(node.metadata_props.get(_TRACE, ""))
        node.meta[_KEY] = Origin(_module(node.metadata_props.get(_SCOPES, "")), file, line)


def from_file(model: ir.Model) -> None:
    """Record the nodes' names in a file, and source lines that PyTorch's exporter stored there."""
    for node in model.graph:
        file, line = _innermost(node.metadata_props.get(_TRACE, ""))
        node.meta[_KEY] = Origin(_module(node.metadata_props.get(_SCOPES, "")) or node.name or "", file, line)


def of(graph: Graph) -> dict[str, Origin]:
    """Layer -> origin; a layer that a pass created inherits the origin of its input's layer."""
    found: dict[str, Origin] = {}
    by_value: dict[str | None, Origin] = {}
    for node in graph.model.graph:
        read = (by_value.get(value.name) for value in node.inputs if value is not None)
        origin = node.meta.get(_KEY) or next((known for known in read if known is not None), None)
        if origin is not None:
            found[node.name or ""] = origin
            by_value.update((value.name, origin) for value in node.outputs)
    return found


def _module(scopes: str) -> str:
    """The innermost module of ``['', 'body', 'body.0', 'conv2d']``, whose last entry is the operator."""
    try:
        names = ast.literal_eval(scopes) if scopes else []
    except (ValueError, SyntaxError):
        return ""
    return str(names[-2]) if isinstance(names, list) and len(names) > 1 else ""


def _innermost(trace: str) -> tuple[str, int]:
    """The last frame of a stack that lies outside PyTorch."""
    frames = [(file, int(line)) for file, line in _FRAME.findall(trace) if "torch" not in Path(file).parts]
    return frames[-1] if frames else ("", 0)
