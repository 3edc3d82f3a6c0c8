"""Any opset that is read -> clearport's, by own rules: what computes the same is written in the newer (or older) form.

``onnx.version_converter`` is not used: it silently changes what a linear Resize of opset 9 or 10 computes (by a quarter
of the range) and refuses half of the others. The rules are of the opset in which an operator changed; operators that
only got new number formats need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from clearport.errors import BadInput
from clearport.export.from_onnx import lift_newer, lift_older
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEFAULT = ("", "ai.onnx")
_INERT = {"block_size": 0, "output_dtype": 0, "precision": 0, "saturate": 1, "round_mode": "up"}
"""Attributes of newer opsets with the values that mean what the older form does."""


def lifted(model: ir.Model, name: str) -> ir.Model:
    """The same model in ``graphs.OPSET``, with its functions put where they are called; changed in place.

    Raises:
        BadInput: something has no form in that opset; all of it is told.
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
    """Apply the rules of each opset between ``version`` and clearport's to every node, also in graphs within."""
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
    """What clearport's opset does not know of a node; attributes that say nothing new are taken away."""
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
