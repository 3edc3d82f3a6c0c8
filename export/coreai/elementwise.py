"""Rules of the elementwise operators: arithmetic, powers, clamps and activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clearport.export.coreai.lowering import Lowering, refuse
from clearport.graph.nodes import attr_float, attr_str, clamp_of

if TYPE_CHECKING:
    import onnx_ir as ir


def identity(low: Lowering, node: ir.Node) -> Any:
    """Identity -> its input."""
    return low.var(node, 0)


def unary(low: Lowering, node: ir.Node, op: str) -> Any:
    """An operator with one input and no settings -> Core AI's ``op``."""
    return getattr(low.ops, op)(low.var(node, 0))


def binary(low: Lowering, node: ir.Node, op: str) -> Any:
    """An elementwise operator with two inputs, which broadcast as in NumPy -> Core AI's ``broadcasting_<op>``."""
    if len(node.inputs) != 2:
        raise refuse(node, f"it has {len(node.inputs)} inputs, not two")
    return getattr(low.ops, f"broadcasting_{op}")(low.var(node, 0), low.var(node, 1))


def clip(low: Lowering, node: ir.Node) -> Any:
    """Clip -> maximum and minimum with its finite bounds."""
    clamp = clamp_of(node)
    if clamp is None:
        raise refuse(node, "its bounds must be constants")
    x = low.var(node, 0)
    if not math.isinf(clamp.lo):
        x = low.ops.broadcasting_maximum(x, low.fit(node, clamp.lo))
    return x if math.isinf(clamp.hi) else low.ops.broadcasting_minimum(x, low.fit(node, clamp.hi))


def neg(low: Lowering, node: ir.Node) -> Any:
    """Neg -> a product with -1, which is exact."""
    return low.ops.broadcasting_mul(low.var(node, 0), low.fit(node, -1.0))


def reciprocal(low: Lowering, node: ir.Node) -> Any:
    """Reciprocal -> 1 / x."""
    return low.ops.broadcasting_divide(low.fit(node, 1.0), low.var(node, 0))


def floor(low: Lowering, node: ir.Node) -> Any:
    """Floor -> floor division by 1."""
    return low.ops.broadcasting_floor_divide(low.var(node, 0), low.fit(node, 1.0))


def ceil(low: Lowering, node: ir.Node) -> Any:
    """Ceil -> -floor(-x)."""
    turned = low.ops.broadcasting_mul(low.var(node, 0), low.fit(node, -1.0))
    return low.ops.broadcasting_mul(low.ops.broadcasting_floor_divide(turned, low.fit(node, 1.0)), low.fit(node, -1.0))


def leaky_relu(low: Lowering, node: ir.Node) -> Any:
    """LeakyRelu -> max(x, slope * x); min if the slope is above 1."""
    slope, x = attr_float(node, "alpha", 0.01), low.var(node, 0)
    pick = low.ops.broadcasting_maximum if slope <= 1 else low.ops.broadcasting_minimum
    return pick(x, low.ops.broadcasting_mul(x, low.fit(node, slope)))


def elu(low: Lowering, node: ir.Node) -> Any:
    """Elu -> max(x, 0) + alpha * (exp(min(x, 0)) - 1)."""
    x, ops = low.var(node, 0), low.ops
    falling = ops.exp(ops.broadcasting_minimum(x, low.fit(node, 0.0)))
    bent = ops.broadcasting_mul(
        ops.broadcasting_sub(falling, low.fit(node, 1.0)), low.fit(node, attr_float(node, "alpha", 1.0))
    )
    return ops.broadcasting_add(ops.relu(x), bent)


def prelu(low: Lowering, node: ir.Node) -> Any:
    """PRelu -> max(x, 0) + slope * min(x, 0); one of the terms is always 0."""
    x, ops = low.var(node, 0), low.ops
    falling = ops.broadcasting_minimum(x, low.fit(node, 0.0))
    return ops.broadcasting_add(ops.relu(x), ops.broadcasting_mul(falling, low.var(node, 1)))


def hard_swish(low: Lowering, node: ir.Node) -> Any:
    """HardSwish -> x * (clip(x + 3, 0, 6) / 6)."""
    x, ops = low.var(node, 0), low.ops
    moved = ops.broadcasting_add(x, low.fit(node, 3.0))
    cut = ops.broadcasting_minimum(ops.broadcasting_maximum(moved, low.fit(node, 0.0)), low.fit(node, 6.0))
    return ops.broadcasting_mul(x, ops.broadcasting_divide(cut, low.fit(node, 6.0)))


def gelu(low: Lowering, node: ir.Node) -> Any:
    """Gelu -> gelu with its mode: by erf (``none``) or by tanh."""
    mode = attr_str(node, "approximate", "none")
    if mode not in {"none", "tanh"}:
        raise refuse(node, f"no conversion rule for the approximation {mode!r}")
    return low.ops.gelu(low.var(node, 0), approximate=mode)
