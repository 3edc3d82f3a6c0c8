"""Rules for opsets before clearport's: one per operator and opset in which its form or semantics changed.

Each rule edits one node of the previous opset in place. Where the specification is ambiguous (nearest Resize of opset
10), ONNX Runtime's behavior counts; file and graph are compared afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

Rule = Callable[[ir.Node], None]

_LOWEST = float(np.finfo(np.float32).min)
_REDUCTIONS = ("Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")


def before(node: ir.Node, op: str, inputs: list[ir.Value | None], **attributes: Any) -> ir.Value:
    """A new operator in front of a node."""
    made = ir.node(op, inputs, attributes or None)
    node.prepend(made)
    return made.outputs[0]


def constant(node: ir.Node, array: Array) -> ir.Value:
    """A Constant in front of a node: functions have no initializers."""
    return before(node, "Constant", [], value=ir.tensor(array))


def take(node: ir.Node, name: str) -> object | None:
    """Remove an attribute from the node and return its value; None if it is not set."""
    found = node.attributes.pop(name, None)
    return None if found is None else found.value


def put(node: ir.Node, index: int, value: ir.Value | None) -> None:
    """Set input ``index`` of a node; missing inputs before it are omitted ones."""
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)


def layer_of(node: ir.Node) -> str:
    """The name of a node in messages."""
    return node.name or node.outputs[0].name or node.op_type


def _moved(name: str, index: int, kind: type = np.int64) -> Rule:
    """Turn an attribute, if set, into an input."""

    def rule(node: ir.Node) -> None:
        value = take(node, name)
        if value is not None:
            put(node, index, constant(node, np.array(value, kind)))

    return rule


def _slice(node: ir.Node) -> None:
    starts, ends, axes = (take(node, name) for name in ("starts", "ends", "axes"))
    given = np.array(starts, np.int64)
    order = np.arange(len(given)) if axes is None else np.array(axes)
    for index, array in enumerate((given, ends, order), start=1):
        put(node, index, constant(node, np.array(array, np.int64)))


def _upsample(node: ir.Node) -> None:
    """Upsample -> Resize."""
    node.op_type = "Resize"
    node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _resize_10(node: ir.Node) -> None:
    """Resize of opset 10: asymmetric coordinates; nearest rounds down, or up when downsampling."""
    scales = graphs.need(node, 1)
    node.attributes["coordinate_transformation_mode"] = ir.AttrString("coordinate_transformation_mode", "asymmetric")
    put(node, 2, scales)
    put(node, 1, None)
    if graphs.attr_str(node, "mode", "nearest") != "nearest" or "nearest_mode" in node.attributes:
        return
    factors = graphs.constant(scales)
    if factors is None:
        raise BadInput(f"Resize {layer_of(node)!r}: its scales are computed, so it is unknown whether it downsamples")
    shrunk, grown = np.where(factors < 1, factors, 1), np.where(factors < 1, 1, factors)
    node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "ceil" if (factors < 1).any() else "floor")
    if (factors < 1).any() and (factors > 1).any():
        kind = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
        grown_ = constant(node, grown.astype(np.float32))
        put(node, 0, before(node, "Resize", [graphs.need(node, 0), None, grown_], **kind))
        put(node, 2, constant(node, shrunk.astype(np.float32)))


def _clip(node: ir.Node) -> None:
    for index, name in ((1, "min"), (2, "max")):
        bound = take(node, name)
        if isinstance(bound, float) and abs(bound) < -_LOWEST:
            put(node, index, constant(node, np.array(bound, np.float32)))


def _pad(node: ir.Node) -> None:
    value = take(node, "value")
    _moved("pads", 1)(node)
    if graphs.attr_str(node, "mode", "constant") == "constant":
        put(node, 2, constant(node, np.array(value or 0.0, np.float32)))


def _scatter(node: ir.Node) -> None:
    node.op_type = "ScatterElements"


def _dropout(node: ir.Node) -> None:
    take(node, "ratio")


def _softmax(node: ir.Node) -> None:
    """Softmax before opset 13 flattened all axes from ``axis`` on, which is equivalent for the last axis only."""
    axis = graphs.attr_int(node, "axis", 1)
    source = graphs.need(node, 0)
    if axis == -1 or (source.shape is not None and axis == len(source.shape) - 1):
        node.attributes["axis"] = ir.AttrInt64("axis", axis)
        return
    result = node.outputs[0]
    flat = before(node, "Flatten", [source], axis=axis)
    within = before(node, node.op_type, [flat], axis=-1)
    node.op_type = "Reshape"
    node.attributes.clear()
    put(node, 1, before(node, "Shape", [source]))
    put(node, 0, within)
    result.type = source.type


def _resize_11(node: ir.Node) -> None:
    """tf_half_pixel_for_nn, which only opset 11 had: nearest at (x + 0.5) / scale; half_pixel with other rounding."""
    name = "coordinate_transformation_mode"
    if graphs.attr_str(node, name, "half_pixel") == "tf_half_pixel_for_nn":
        rounding = {"floor": "round_prefer_ceil", "round_prefer_floor": "ceil"}
        kind = graphs.attr_str(node, "nearest_mode", "round_prefer_floor")
        if kind not in rounding or graphs.attr_str(node, "mode", "nearest") != "nearest":
            raise BadInput(
                f"Resize {layer_of(node)!r}: {name} tf_half_pixel_for_nn has no equivalent in newer opsets with {kind}"
            )
        node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", rounding[kind])
        node.attributes[name] = ir.AttrString(name, "half_pixel")
    if graphs.attr_str(node, name, "half_pixel") != "tf_crop_and_resize":
        put(node, 1, None)  # the roi, which no other mode reads
    for index in (2, 3):
        given = graphs.constant(graphs.operand(node, index))
        if given is not None and not given.size:
            put(node, index, None)  # opset 11 requires empty scales if there are sizes


def _batch_normalization(node: ir.Node) -> None:
    """Remove BatchNormalization's training outputs (statistics)."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise BadInput(f"BatchNormalization {layer_of(node)!r} is in training mode: call .eval() before the export")
    node.resize_outputs(1)


def _split(node: ir.Node) -> None:
    if graphs.operand(node, 1) is None:
        node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))


def _roi_align(node: ir.Node) -> None:
    name = "coordinate_transformation_mode"
    node.attributes[name] = ir.AttrString(name, "output_half_pixel")


def _grid_sample(node: ir.Node) -> None:
    names = {"bilinear": "linear", "bicubic": "cubic"}
    kind = graphs.attr_str(node, "mode", "bilinear")
    node.attributes["mode"] = ir.AttrString("mode", names.get(kind, kind))


RULES: dict[tuple[str, int], Rule] = {
    ("Upsample", 10): _upsample,
    ("Slice", 10): _slice,
    ("TopK", 10): _moved("k", 1),
    ("Resize", 11): _resize_10,
    ("Clip", 11): _clip,
    ("Pad", 11): _pad,
    ("Scatter", 11): _scatter,
    ("Dropout", 12): _dropout,
    ("Squeeze", 13): _moved("axes", 1),
    ("Unsqueeze", 13): _moved("axes", 1),
    ("ReduceSum", 13): _moved("axes", 1),
    ("Split", 13): _moved("split", 1),
    **{(op, 13): _softmax for op in ("Softmax", "LogSoftmax", "Hardmax")},
    ("Resize", 13): _resize_11,
    ("BatchNormalization", 14): _batch_normalization,
    **{(f"Reduce{kind}", 18): _moved("axes", 1) for kind in _REDUCTIONS},
    ("RoiAlign", 16): _roi_align,
    ("Split", 18): _split,
    ("GridSample", 20): _grid_sample,
    ("DFT", 20): _moved("axis", 2),
}
"""(operator, the first opset with the new form) -> rule."""
