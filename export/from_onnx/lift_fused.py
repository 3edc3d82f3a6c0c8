"""Operators that ONNX Runtime's offline optimizer writes (``com.microsoft``), in ONNX's own operators.

A session saves them with ``optimized_model_filepath`` at the extended level; they are specified in ONNX Runtime's
``docs/ContribOperators.md``. They are fusions of ONNX's operators, which the rules undo.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from clearport.errors import BadInput
from clearport.export.from_onnx.lift_older import before, constant, layer_of, put
from clearport.graph import nodes as graphs

DOMAIN = "com.microsoft"
_QUICK = 1.702
"""QuickGelu's default factor."""


def unfused(body: ir.Graph | ir.Function) -> None:
    """Rewrite the nodes of ``OPERATORS`` in clearport's opset, in place.

    Raises:
        BadInput: one has settings that have no equivalent.
    """
    for node in tuple(ir.traversal.RecursiveGraphIterator(body)):
        if node.domain == DOMAIN and node.op_type in OPERATORS:
            node.domain = ""
            _RULES[node.op_type](node)


def _become(node: ir.Node, op: str, inputs: list[ir.Value | None], **attributes: Any) -> None:
    """The last operator of an expansion replaces the node and writes its first output."""
    node.op_type = op
    node.attributes.clear()
    for key, value in attributes.items():
        node.attributes[key] = ir.convenience.convert_attribute(key, value)
    node.resize_inputs(len(inputs))
    for index, value in enumerate(inputs):
        put(node, index, value)


def _number(node: ir.Node, value: float) -> ir.Value:
    return constant(node, np.array(value, np.float32))


def _shifted(node: ir.Node) -> ir.Value:
    """Input 0, with the optional input 1 added."""
    offset = graphs.operand(node, 1)
    source = graphs.need(node, 0)
    return source if offset is None else before(node, "Add", [source, offset])


def _gelu(node: ir.Node) -> None:
    _become(node, "Gelu", [_shifted(node)])


def _fast_gelu(node: ir.Node) -> None:
    _become(node, "Gelu", [_shifted(node)], approximate="tanh")


def _quick_gelu(node: ir.Node) -> None:
    """x * sigmoid(alpha x)."""
    source, alpha = graphs.need(node, 0), graphs.attr_float(node, "alpha", _QUICK)
    inner = source if alpha == 1 else before(node, "Mul", [source, _number(node, alpha)])
    _become(node, "Mul", [source, before(node, "Sigmoid", [inner])])


def _matmul(node: ir.Node) -> None:
    """alpha * MatMul of inputs whose last two axes may be exchanged."""
    if graphs.attr_int(node, "transBatchA", 0) or graphs.attr_int(node, "transBatchB", 0):
        raise BadInput(f"FusedMatMul {layer_of(node)!r}: its batch axes are moved: give the file from before")
    sides: list[ir.Value | None] = [_exchanged(node, index, name) for index, name in enumerate(("transA", "transB"))]
    alpha = graphs.attr_float(node, "alpha", 1.0)
    if alpha == 1:
        _become(node, "MatMul", sides)
    else:
        _become(node, "Mul", [before(node, "MatMul", sides), _number(node, alpha)])


def _exchanged(node: ir.Node, index: int, name: str) -> ir.Value:
    value = graphs.need(node, index)
    if not graphs.attr_int(node, name, 0):
        return value
    if value.shape is None:
        raise BadInput(f"FusedMatMul {layer_of(node)!r}: the rank of {value.name!r} is unknown")
    rank = len(value.shape)
    return before(node, "Transpose", [value], perm=[*range(rank - 2), rank - 1, rank - 2])


def _settings(node: ir.Node) -> list[float]:
    """The numbers of a fused activation, which are removed from the node."""
    several = node.attributes.pop("activation_params", None)
    single = [node.attributes.pop(f"activation_{name}", None) for name in ("alpha", "beta", "gamma")]
    given = several.as_floats() if several is not None else [held.as_float() for held in single if held is not None]
    return [float(number) for number in given]


def _with_activation(node: ir.Node) -> None:
    """Conv, Gemm and an activation; a fourth input is added in between."""
    op = node.op_type.removeprefix("Fused")
    kind, settings = graphs.attr_str(node, "activation", ""), _settings(node)
    node.attributes.pop("activation", None)
    inputs = list(node.inputs)
    added = inputs[3] if op == "Conv" and len(inputs) > 3 else None
    made = before(node, op, inputs[:3], **{key: held.value for key, held in node.attributes.items()})
    if added is not None:
        made = before(node, "Add", [made, added])
    if kind in _LIMITS:
        _become(node, "Clip", [made, *(_number(node, n) for n in settings)])
    elif kind in _ACTIVATIONS:
        _become(node, kind, [made], **dict(zip(_ACTIVATIONS[kind], settings, strict=False)))
    elif not kind:
        _become(node, "Identity", [made])
    else:
        raise BadInput(f"{node.op_type} {layer_of(node)!r}: activation {kind}: give the file from before")


_LIMITS = frozenset({"Clip"})
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}
"""Activations of fused operators, and the attributes that their numbers are."""


def _skipped(node: ir.Node) -> None:
    """LayerNormalization of the sum of two inputs and an optional offset; the fourth output is the sum."""
    total = before(node, "Add", [graphs.need(node, 0), graphs.need(node, 1)])
    offset = graphs.operand(node, 4)
    if offset is not None:
        total = before(node, "Add", [total, offset])
    if len(node.outputs) > 1 and any(value.uses() for value in node.outputs[1:3]):
        raise BadInput(f"{node.op_type} {layer_of(node)!r}: its mean is read: give the file from before")
    if len(node.outputs) > 3:
        node.outputs[3].replace_all_uses_with(total, replace_graph_outputs=True)
    epsilon = graphs.attr_float(node, "epsilon", 1e-12)
    node.resize_outputs(1)
    _become(node, "LayerNormalization", [total, *node.inputs[2:4]], axis=-1, epsilon=epsilon)


_RULES: dict[str, Callable[[ir.Node], None]] = {
    "Gelu": _gelu,
    "BiasGelu": _gelu,
    "FastGelu": _fast_gelu,
    "QuickGelu": _quick_gelu,
    "FusedMatMul": _matmul,
    "FusedConv": _with_activation,
    "FusedGemm": _with_activation,
    "SkipLayerNormalization": _skipped,
}
OPERATORS = frozenset(_RULES)
