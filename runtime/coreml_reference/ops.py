"""MIL operations on torch tensors, in one table. Semantics follow coremltools' operator documentation.

Each function computes in float32 whatever the declared type is, and the caller rounds the result once to the declared
type: fp16 programs are rounded to fp16 after every operation, but not within one (the sums of a convolution, a mean, a
matrix product; the exponentials of a softmax). Hardware may round more often inside an
operation, or less often where it fuses operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from clearport.errors import UnsupportedOperator
from clearport.operators import table
from clearport.operators.record import resolved
from clearport.runtime.coreml_reference import spatial, windows
from clearport.runtime.coreml_reference.arguments import Arguments, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.runtime.coreml_reference.program import Operation

_GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


def _quantize(a: Arguments) -> Tensor:
    """clip(round(x / scale) + zero_point), halves to even, to the range of ``output_dtype``."""
    low, high = (0, 255) if a.text("output_dtype") == "uint8" else (-128, 127)
    zero_point = a.tensor("zero_point") if "zero_point" in a.given else torch.zeros(())
    steps = a.tensor("input").div(a.tensor("scale"))
    return steps.round_().add_(zero_point).clamp_(low, high)


def _dequantize(a: Arguments) -> Tensor:
    zero_point = a.tensor("zero_point") if "zero_point" in a.given else torch.zeros(())
    return a.tensor("input").sub(zero_point).mul_(a.tensor("scale"))


def _constexpr_affine_dequantize(a: Arguments) -> Tensor:
    """scale * (quantized_data - zero_point), with vectors along ``axis``."""
    data = a.tensor("quantized_data")
    axis = a.integer("axis", 0)

    def along_axis(parameter: Tensor) -> Tensor:
        return parameter.reshape([-1 if i == axis else 1 for i in range(data.dim())])

    return (data - along_axis(a.tensor("zero_point"))) * along_axis(a.tensor("scale"))


def _reduction(operation: Callable[..., Tensor]) -> Rule:
    """Reduction over ``axes`` (default: all); ``keep_dims`` defaults to false."""

    def rule(a: Arguments) -> Tensor:
        x = a.tensor("x")
        return operation(x, a.ints("axes", range(x.dim())), keepdim=a.flag("keep_dims"))

    return rule


def _layer_norm(a: Arguments) -> Tensor:
    """gamma * (x - E[x]) / sqrt(Var[x] + epsilon) + beta, with the biased variance."""
    x = a.tensor("x")
    axes = sorted(axis % x.dim() for axis in a.ints("axes", range(x.dim())))
    centerd = x - x.mean(axes, keepdim=True)
    spread = centerd.square().mean(axes, keepdim=True)
    epsilon = a.tensor("epsilon") if "epsilon" in a.given else torch.tensor(1e-5)
    shape = [x.shape[i] if i in axes else 1 for i in range(x.dim())]
    y = centerd / (spread + epsilon).sqrt()
    if "gamma" in a.given:
        y = y * a.tensor("gamma").reshape(shape)
    return y + a.tensor("beta").reshape(shape) if "beta" in a.given else y


def _gelu(a: Arguments) -> Tensor:
    mode = a.text("mode", "EXACT")
    if mode not in _GELU:
        raise a.refuse(f"mode {mode!r}")
    return F.gelu(a.tensor("x"), approximate=_GELU[mode])


def _log(a: Arguments) -> Tensor:
    """log(x + epsilon); epsilon defaults to 1e-45."""
    return (a.tensor("x") + (a.tensor("epsilon") if "epsilon" in a.given else 1e-45)).log()


def _matmul(a: Arguments) -> Tensor:
    """x @ y with axes before the last two broadcast; ``transpose_x`` and ``transpose_y`` swap the last two first."""
    x, y = (a.tensor(name).transpose(-1, -2) if a.flag(f"transpose_{name}") else a.tensor(name) for name in ("x", "y"))
    return x @ y


def _reshape(a: Arguments) -> Tensor:
    """Reshape; -1 is inferred, 0 keeps the size of the axis."""
    x, shape = a.raw("x"), a.ints("shape", ())
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)])


def _expand_dims(a: Arguments) -> Tensor:
    """Insert axes of size 1 at positions ``axes`` of the result."""
    x, axes = a.raw("x"), a.ints("axes", ())
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(a: Arguments) -> Tensor:
    x = a.raw("x")
    return x.squeeze([axis % x.dim() for axis in a.ints("axes", [i for i, n in enumerate(x.shape) if n == 1])])


OPERATIONS: dict[str, Rule] = {
    "abs": lambda a: a.tensor("x").abs(),
    "add": lambda a: a.tensor("x") + a.tensor("y"),
    "avg_pool": windows.avg_pool,
    "cast": lambda a: a.raw("x"),
    "clip": lambda a: a.tensor("x").clamp(float(a.tensor("alpha")), float(a.tensor("beta"))),
    "concat": lambda a: torch.cat(a.given["values"], a.integer("axis", 1)),
    "const": lambda a: a.raw("val"),
    "constexpr_affine_dequantize": _constexpr_affine_dequantize,
    "conv": windows.conv,
    "conv_transpose": windows.conv_transpose,
    "depth_to_space": spatial.depth_to_space,
    "dequantize": _dequantize,
    "erf": lambda a: a.tensor("x").erf(),
    "exp": lambda a: a.tensor("x").exp(),
    "expand_dims": _expand_dims,
    "gather": spatial.gather,
    "gelu": _gelu,
    "identity": lambda a: a.raw("x"),
    "layer_norm": _layer_norm,
    "leaky_relu": lambda a: F.leaky_relu(a.tensor("x"), float(a.tensor("alpha"))),
    "log": _log,
    "matmul": _matmul,
    "max_pool": windows.max_pool,
    "maximum": lambda a: torch.maximum(a.tensor("x"), a.tensor("y")),
    "minimum": lambda a: torch.minimum(a.tensor("x"), a.tensor("y")),
    "mul": lambda a: a.tensor("x") * a.tensor("y"),
    "pad": spatial.pad,
    "pixel_shuffle": lambda a: F.pixel_shuffle(a.raw("x"), a.integer("upscale_factor", 1)),
    "pow": lambda a: a.tensor("x") ** a.tensor("y"),
    "prelu": lambda a: F.prelu(a.tensor("x"), a.tensor("alpha")),
    "quantize": _quantize,
    "real_div": lambda a: a.tensor("x") / a.tensor("y"),
    "reduce_max": _reduction(torch.amax),
    "reduce_mean": _reduction(torch.mean),
    "reduce_min": _reduction(torch.amin),
    "reduce_sum": _reduction(torch.sum),
    "relu": lambda a: a.raw("x").relu(),
    "reshape": _reshape,
    "resize": spatial.resize,
    "resize_bilinear": spatial.resize_bilinear,
    "shape": lambda a: torch.tensor(a.raw("x").shape),
    "sigmoid": lambda a: a.tensor("x").sigmoid(),
    "silu": lambda a: F.silu(a.tensor("x")),
    "slice_by_index": spatial.slice_by_index,
    "softmax": lambda a: a.tensor("x").softmax(a.integer("axis", -1)),
    "space_to_depth": spatial.space_to_depth,
    "sqrt": lambda a: a.tensor("x").sqrt(),
    "squeeze": _squeeze,
    "sub": lambda a: a.tensor("x") - a.tensor("y"),
    "tanh": lambda a: a.tensor("x").tanh(),
    "tile": lambda a: a.raw("x").tile(a.ints("reps", ())),
    "transpose": lambda a: a.raw("x").permute(a.ints("perm", ())),
    "upsample_bilinear": spatial.upsample_bilinear,
    "upsample_nearest_neighbor": spatial.upsample_nearest,
}


def rule_for(operation: Operation) -> Rule:
    """The evaluator of an operation, from the table here or from an operator record.

    Raises:
        UnsupportedOperator: no conversion rule.
    """
    brought = table.mil_operations()
    if operation.type in OPERATIONS:
        return OPERATIONS[operation.type]
    if operation.type in brought:
        return resolved(brought[operation.type])
    raise UnsupportedOperator("milref", operation.type, operation.result.name)
