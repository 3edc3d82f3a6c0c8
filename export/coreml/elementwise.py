"""Rules of the elementwise operators: arithmetic, powers, clamps and activations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import attr_float, attr_str, clamp_of

if TYPE_CHECKING:
    import onnx_ir as ir

_GELU = {"none": "EXACT", "tanh": "TANH_APPROXIMATION"}


def unary(low: Lowering, node: ir.Node, name: str, op: str) -> Any:
    """An operator with one input and no settings -> MIL's ``op``."""
    return getattr(low.mb, op)(x=low.var(node, 0), name=name)


def binary(low: Lowering, node: ir.Node, name: str, op: str) -> Any:
    """An elementwise operator with two inputs, which broadcast as in numpy -> MIL's ``op``."""
    if len(node.inputs) != 2:
        raise refuse(node, f"it has {len(node.inputs)} inputs, not two")
    return getattr(low.mb, op)(x=low.var(node, 0), y=low.var(node, 1), name=name)


def clip(low: Lowering, node: ir.Node, name: str) -> Any:
    """Clip -> clip, or maximum or minimum if only one bound is finite."""
    clamp = clamp_of(node)
    if clamp is None:
        raise refuse(node, "its bounds must be constants")
    x, lo, hi = low.var(node, 0), clamp.lo, clamp.hi
    if math.isinf(lo) and math.isinf(hi):
        return low.mb.identity(x=x, name=name)
    if math.isinf(hi):
        return low.mb.maximum(x=x, y=low.fit(node, lo), name=name)
    if math.isinf(lo):
        return low.mb.minimum(x=x, y=low.fit(node, hi), name=name)
    return low.mb.clip(x=x, alpha=low.fit(node, lo), beta=low.fit(node, hi), name=name)


def neg(low: Lowering, node: ir.Node, name: str) -> Any:
    """Neg -> mul by -1, which is exact."""
    return low.mb.mul(x=low.var(node, 0), y=low.fit(node, -1.0), name=name)


def log(low: Lowering, node: ir.Node, name: str) -> Any:
    """Log -> log with epsilon 0 (MIL's default adds 1e-45 to the input)."""
    return low.mb.log(x=low.var(node, 0), epsilon=low.fit(node, 0.0), name=name)


def leaky_relu(low: Lowering, node: ir.Node, name: str) -> Any:
    """LeakyRelu -> leaky_relu."""
    slope = low.fit(node, attr_float(node, "alpha", 0.01))
    return low.mb.leaky_relu(x=low.var(node, 0), alpha=slope, name=name)


def elu(low: Lowering, node: ir.Node, name: str) -> Any:
    """Elu -> elu."""
    return low.mb.elu(x=low.var(node, 0), alpha=low.fit(node, attr_float(node, "alpha", 1.0)), name=name)


def prelu(low: Lowering, node: ir.Node, name: str) -> Any:
    """PRelu -> prelu with one slope per channel; one slope for all is repeated."""
    x, slope = low.var(node, 0), low.array(node, 1)
    channels = x.shape[1]
    if slope.size not in {1, channels} or (slope.ndim >= 3 and slope.shape[-3] != slope.size):
        raise refuse(node, f"a slope of shape {slope.shape}: expected one per channel")
    return low.mb.prelu(x=x, alpha=np.resize(slope.reshape(-1), channels), name=name)


def hard_swish(low: Lowering, node: ir.Node, name: str) -> Any:
    """HardSwish -> x * (clip(x + 3, 0, 6) / 6): in fp16 the 1/6 of a hard sigmoid would be rounded."""
    x, mb = low.var(node, 0), low.mb
    moved = mb.add(x=x, y=low.fit(node, 3.0), name=f"{name}_moved")
    cut = mb.clip(x=moved, alpha=low.fit(node, 0.0), beta=low.fit(node, 6.0), name=f"{name}_cut")
    gate = mb.real_div(x=cut, y=low.fit(node, 6.0), name=f"{name}_gate")
    return mb.mul(x=x, y=gate, name=name)


def gelu(low: Lowering, node: ir.Node, name: str) -> Any:
    """Gelu -> gelu with its mode: by erf (EXACT) or by tanh."""
    mode = attr_str(node, "approximate", "none")
    if mode not in _GELU:
        raise refuse(node, f"no conversion rule for the approximation {mode!r}")
    return low.mb.gelu(x=low.var(node, 0), mode=_GELU[mode], name=name)
