"""Conversion of any supported opset to clearport's: equivalent operators in the newer (or older) form.

``onnx.version_converter`` is not used: it silently changes what a linear Resize of opset 9 or 10 computes (by a quarter
of the range) and refuses half of the others. There is a rule for each opset in which an operator changed; operators
that only gained dtypes need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from clearport.errors import BadInput
from clearport.export.from_onnx import lift_fused, lift_newer, lift_older
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEFAULT = ("", "ai.onnx")
_INERT = {"block_size": 0, "output_dtype": 0, "precision": 0, "saturate": 1, "round_mode": "up"}
"""Attributes of newer opsets, with the values equivalent to the older form."""


def lifted(model: ir.Model, name: str) -> ir.Model:
    """Convert a model to ``graphs.OPSET`` with its functions inlined, in place.

    Raises:
        BadInput: some operators have no form in that opset; the message lists all of them.
    """
    for function in model.functions.values():
        _lift(function, _version(function.opset_imports), name)
        _settle(function.opset_imports)
    _lift(model.graph, _version(model.opset_imports), name)
    _settle(model.opset_imports)
    common.NameFixPass()(model)
    if model.functions:
        common.InlinePass()(model)
    model.functions.clear()
    common.RemoveUnusedOpsetsPass()(model)
    model.ir_version = graphs.IR_VERSION
    return model


def _version(imports: dict[str, int]) -> int:
    return max((version for domain, version in imports.items() if domain in _DEFAULT), default=graphs.OPSET)


def _settle(imports: dict[str, int]) -> None:
    imports.pop("ai.onnx", None)
    imports[""] = graphs.OPSET


def _lift(body: ir.Graph | ir.Function, version: int, name: str) -> None:
    """Apply the rules of each opset between ``version`` and clearport's to every node, including subgraphs."""
    for node in _default_nodes(body):
        node.domain = ""
    for number in range(version + 1, graphs.OPSET + 1):
        for node in _default_nodes(body):
            rule = lift_older.RULES.get((node.op_type, number))
            if rule is not None:
                rule(node)
    if version > graphs.OPSET:
        for node in _default_nodes(body):
            lift_newer.lower(node)
    lift_fused.unfused(body)
    refused = []
    for node in _default_nodes(body):
        node.version = None
        refused += _unknown(node)
    if refused:
        raise BadInput(
            f"{name}: written for opset {version}, with features that opset {graphs.OPSET} lacks: {'; '.join(refused)}"
        )


def _default_nodes(body: ir.Graph | ir.Function) -> tuple[ir.Node, ...]:
    found: Iterable[ir.Node] = ir.traversal.RecursiveGraphIterator(body)
    return tuple(node for node in found if node.domain in _DEFAULT)


def _unknown(node: ir.Node) -> list[str]:
    """The features of a node that clearport's opset lacks; new attributes with default values are removed."""
    layer = f"{node.op_type} {node.name or node.outputs[0].name!r}"
    try:
        schema = onnx.defs.get_schema(node.op_type, graphs.OPSET, "")
    except onnx.defs.SchemaError:
        return [f"{layer}: there is no such operator"]
    strange = []
    for key in [key for key in node.attributes if key not in schema.attributes]:
        if node.attributes[key].value == _INERT.get(key, ...):
            del node.attributes[key]
        else:
            strange.append(f"{layer}: attribute {key}={node.attributes[key].value}")
    return strange
