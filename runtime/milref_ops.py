"""MIL operations on torch tensors, in one table. Meanings are those of coremltools' operator documentation.

Each function computes in float32 whatever the declared type is, and the caller rounds the result once to the declared
type: fp16 programs are rounded to fp16 after every operation, while sums inside one operation are not. Hardware may
round more often inside a convolution, or less often where it fuses operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from clearport.base import RuntimeFailure, UnsupportedOperator

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.runtime.milref_program import Operation


@dataclass(frozen=True)
class Arguments:
    """The operands of one operation, already resolved: torch tensors and str."""

    operation: Operation
    given: dict[str, list[Any]]

    def tensor(self, name: str) -> Tensor:
        """An operand as float32."""
        return self.raw(name).float()

    def raw(self, name: str) -> Tensor:
        """An operand in its own type."""
        if name not in self.given:
            raise RuntimeFailure(f"operation {self.operation.result.name!r} ({self.operation.type}) lacks {name!r}")
        found: Tensor = self.given[name][0]
        return found

    def optional(self, name: str) -> Tensor | None:
        """An operand as float32, or None where it is left out."""
        return self.tensor(name) if name in self.given else None

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        """A list of integers."""
        return [int(n) for n in self.given[name][0].reshape(-1)] if name in self.given else list(default)

    def integer(self, name: str, default: int) -> int:
        """An integer."""
        return self.ints(name, [default])[0]

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        return bool(self.given[name][0]) if name in self.given else default

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        return str(self.given[name][0]) if name in self.given else default

    def padding(self) -> list[int]:
        """(top, bottom, left, right) of a sliding window."""
        kind = self.text("pad_type", "custom")
        if kind not in {"custom", "valid"}:
            raise UnsupportedOperator("milref", self.operation.type, self.operation.result.name, f"pad_type {kind!r}")
        return self.ints("pad", (0, 0, 0, 0)) if kind == "custom" else [0, 0, 0, 0]


Rule = Callable[[Arguments], "Tensor"]


def _padded(x: Tensor, padding: Sequence[int], fill: float) -> Tensor:
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=fill) if any(padding) else x


def _conv(a: Arguments) -> Tensor:
    top, bottom, left, right = padding = a.padding()
    x, even = a.tensor("x"), top == bottom and left == right
    return F.conv2d(
        x if even else _padded(x, padding, 0.0),
        a.tensor("weight"),
        a.optional("bias"),
        a.ints("strides", (1, 1)),
        [top, left] if even else [0, 0],
        a.ints("dilations", (1, 1)),
        a.integer("groups", 1),
    )


def _conv_transpose(a: Arguments) -> Tensor:
    top, bottom, left, right = a.padding()
    whole = F.conv_transpose2d(
        a.tensor("x"),
        a.tensor("weight"),
        a.optional("bias"),
        a.ints("strides", (1, 1)),
        groups=a.integer("groups", 1),
        dilation=a.ints("dilations", (1, 1)),
    )
    return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]


def _max_pool(a: Arguments) -> Tensor:
    return F.max_pool2d(
        _padded(a.tensor("x"), a.padding(), -torch.inf), a.ints("kernel_sizes", ()), a.ints("strides", (1, 1))
    )


def _avg_pool(a: Arguments) -> Tensor:
    kernel, strides = a.ints("kernel_sizes", ()), a.ints("strides", (1, 1))

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(_padded(x, a.padding(), 0.0), kernel, strides)

    x = a.tensor("x")
    return mean(x) / mean(torch.ones_like(x)) if a.flag("exclude_padding_from_average") else mean(x)


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


def _depth_to_space(a: Arguments) -> Tensor:
    """TensorFlow's order: input channel (row * block + column) * C + c (ONNX: DCR)."""
    x, block = a.raw("x"), a.integer("block_size", 1)
    n, depth, height, width = x.shape
    channels = depth // block**2
    cells = x.reshape(n, block, block, channels, height, width)  # (N, row, column, C, H, W)
    return cells.permute(0, 3, 4, 1, 5, 2).reshape(n, channels, height * block, width * block)


def _pad(a: Arguments) -> Tensor:
    mode = a.text("mode", "constant")
    if mode != "constant":
        raise UnsupportedOperator("milref", "pad", a.operation.result.name, f"mode {mode!r}")
    amounts = a.ints("pad", ())
    innermost_first = [n for axis in reversed(range(len(amounts) // 2)) for n in amounts[2 * axis : 2 * axis + 2]]
    fill = float(a.tensor("constant_val")) if "constant_val" in a.given else 0.0
    return F.pad(a.tensor("x"), innermost_first, value=fill)


def _slice_by_index(a: Arguments) -> Tensor:
    x = a.raw("x")
    rank = x.dim()
    begin, end, stride = (a.ints(name, [default] * rank) for name, default in (("begin", 0), ("end", 0), ("stride", 1)))
    begin_open, end_open = (a.ints(name, [0] * rank) for name in ("begin_mask", "end_mask"))
    return x[
        tuple(
            slice(None if begin_open[i] else begin[i], None if end_open[i] else end[i], stride[i]) for i in range(rank)
        )
    ]


def _upsample_nearest(a: Arguments) -> Tensor:
    tall, wide = a.integer("scale_factor_height", 1), a.integer("scale_factor_width", 1)
    return a.raw("x").repeat_interleave(tall, 2).repeat_interleave(wide, 3)


def _upsample_bilinear(a: Arguments) -> Tensor:
    x = a.tensor("x")
    size = [x.shape[2] * a.integer("scale_factor_height", 1), x.shape[3] * a.integer("scale_factor_width", 1)]
    return F.interpolate(x, size, mode="bilinear", align_corners=a.flag("align_corners", default=True))


def _resize_bilinear(a: Arguments) -> Tensor:
    sampling = a.text("sampling_mode", "DEFAULT")
    if sampling not in {"STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS"}:
        raise UnsupportedOperator("milref", "resize_bilinear", a.operation.result.name, f"sampling_mode {sampling!r}")
    size = [a.integer("target_size_height", 1), a.integer("target_size_width", 1)]
    return F.interpolate(a.tensor("x"), size, mode="bilinear", align_corners=sampling == "STRICT_ALIGN_CORNERS")


def _prelu(a: Arguments) -> Tensor:
    return F.prelu(a.tensor("x"), a.tensor("alpha"))


OPERATIONS: dict[str, Rule] = {
    "add": lambda a: a.tensor("x") + a.tensor("y"),
    "avg_pool": _avg_pool,
    "cast": lambda a: a.raw("x"),
    "clip": lambda a: a.tensor("x").clamp(float(a.tensor("alpha")), float(a.tensor("beta"))),
    "concat": lambda a: torch.cat(a.given["values"], a.integer("axis", 1)),
    "const": lambda a: a.raw("val"),
    "constexpr_affine_dequantize": _constexpr_affine_dequantize,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "depth_to_space": _depth_to_space,
    "dequantize": _dequantize,
    "identity": lambda a: a.raw("x"),
    "leaky_relu": lambda a: F.leaky_relu(a.tensor("x"), float(a.tensor("alpha"))),
    "max_pool": _max_pool,
    "maximum": lambda a: torch.maximum(a.tensor("x"), a.tensor("y")),
    "minimum": lambda a: torch.minimum(a.tensor("x"), a.tensor("y")),
    "mul": lambda a: a.tensor("x") * a.tensor("y"),
    "pad": _pad,
    "pixel_shuffle": lambda a: F.pixel_shuffle(a.raw("x"), a.integer("upscale_factor", 1)),
    "prelu": _prelu,
    "quantize": _quantize,
    "reduce_mean": lambda a: a.tensor("x").mean(a.ints("axes", ()), keepdim=a.flag("keep_dims")),
    "relu": lambda a: a.raw("x").relu(),
    "resize_bilinear": _resize_bilinear,
    "sigmoid": lambda a: a.tensor("x").sigmoid(),
    "silu": lambda a: F.silu(a.tensor("x")),
    "slice_by_index": _slice_by_index,
    "sub": lambda a: a.tensor("x") - a.tensor("y"),
    "tanh": lambda a: a.tensor("x").tanh(),
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest,
}


def rule_for(operation: Operation) -> Rule:
    """How an operation is evaluated.

    Raises:
        UnsupportedOperator: there is no rule.
    """
    if operation.type not in OPERATIONS:
        raise UnsupportedOperator("milref", operation.type, operation.result.name)
    return OPERATIONS[operation.type]
