"""Give computed scalars an axis of size 1, since ncnn and Core ML have no rank-0 tensors.

Given: rank-0 tensors, as in ``weights[0] * table``, or a single number of the inputs. Result: tensors of shape (1,),
which broadcast alike; a look-up of one index is one of a list. Rank-0 outputs of the graph, and integer arithmetic that
starts from sizes, stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from clearport.export.passes.rewriting import each_float, fixed, insert, reshaped, substitute
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Graph

_SHAPED = ("Reshape", "Squeeze")
_REDUCED = (
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)
_ELEMENTWISE = frozenset(
    (
        *("Abs", "Add", "Ceil", "Clip", "Cos", "Div", "Erf", "Exp", "Floor", "LeakyRelu", "Log", "Max", "Min", "Mul"),
        *("And", "Cast", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mod", "Not", "Or", "Where"),
        *("Neg", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sqrt", "Sub", "Tanh"),
    )
)
_READERS = _ELEMENTWISE | {"Expand", "Reshape", "Unsqueeze"}


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    if not any(_is_bare(node.outputs[0]) for node in graph.model.graph):
        return graph
    listed = each_float(graph, {"Gather": _looked_up})
    lined = each_float(listed, dict.fromkeys((*_SHAPED, *_REDUCED), _lined))
    if lined is listed:
        return lined
    result = graphs.clone(lined)
    for node in tuple(result.model.graph):
        if node.op_type in _ELEMENTWISE:
            _follow(node)
        elif node.op_type == "Unsqueeze":
            _spread(node)
    return result


def _looked_up(node: ir.Node) -> ir.Value | None:
    index, after = graphs.need(node, 1), fixed(node.outputs[0])
    if graphs.constant(index) is not None or fixed(index) != () or after is None:
        return None
    axis = graphs.attr_int(node, "axis", 0) % (len(after) + 1)
    rows = reshaped(node, index, (1,))
    rows.type = index.type
    found = insert(node, "Gather", [graphs.need(node, 0), rows], (*after[:axis], 1, *after[axis:]), {"axis": axis})
    return reshaped(node, found, after)


def _is_bare(value: ir.Value) -> bool:
    floats = value.dtype is None or value.dtype == ir.DataType.FLOAT
    return floats and fixed(value) == () and not value.is_graph_output()


def _may_have_an_axis(value: ir.Value) -> bool:
    """Whether all direct and indirect consumers of a value accept an additional axis."""
    for reader, place in value.uses():
        if reader.op_type not in _READERS or (reader.op_type in {"Clip", "Reshape", "Expand", "Unsqueeze"} and place):
            return False
        made = reader.outputs[0]
        bare = reader.op_type in _ELEMENTWISE and fixed(made) == ()
        if bare and (made.is_graph_output() or not _may_have_an_axis(made)):
            return False
    return True


def _lined(node: ir.Node) -> ir.Value | None:
    result = node.outputs[0]
    if not _is_bare(result) or not _may_have_an_axis(result):
        return None
    if node.op_type in _SHAPED:
        return reshaped(node, graphs.need(node, 0), (1,))
    source = graphs.need(node, 0)
    before = fixed(source)
    if not before:
        return None
    whole = insert(node, node.op_type, list(node.inputs), (1,) * len(before), {**_settings(node), "keepdims": 1})
    return reshaped(node, whole, (1,))


def _settings(node: ir.Node) -> dict[str, object]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def _follow(node: ir.Node) -> None:
    """Propagate the axis to values computed from such scalars."""
    result = node.outputs[0]
    lines = any(value is not None and fixed(value) == (1,) for value in node.inputs)
    if lines and fixed(result) == () and not result.is_graph_output():
        result.shape = ir.Shape([1])


def _spread(node: ir.Node) -> None:
    shape = fixed(node.outputs[0])
    if shape and fixed(graphs.need(node, 0)) == (1,):
        substitute(node, reshaped(node, graphs.need(node, 0), shape))
