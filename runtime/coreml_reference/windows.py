"""MIL's sliding windows: convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.runtime.coreml_reference.arguments import Arguments


def _padded(x: Tensor, padding: Sequence[int], fill: float) -> Tensor:
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=fill) if any(padding) else x


def conv(a: Arguments) -> Tensor:
    """Convolution (cross-correlation, as in deep learning)."""
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


def conv_transpose(a: Arguments) -> Tensor:
    """Transposed convolution; its padding crops the result."""
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


def max_pool(a: Arguments) -> Tensor:
    """The maximum of each window; padding is minus infinity."""
    kernel, strides = a.ints("kernel_sizes", ()), a.ints("strides", (1, 1))
    x = _padded(a.tensor("x"), _reached(a, kernel, strides), -torch.inf)
    return F.max_pool2d(x, kernel, strides)


def avg_pool(a: Arguments) -> Tensor:
    """The mean of each window; padding counts as zeros unless ``exclude_padding_from_average``."""
    kernel, strides = a.ints("kernel_sizes", ()), a.ints("strides", (1, 1))
    excluded = a.flag("exclude_padding_from_average")
    if a.flag("ceil_mode") and not excluded:
        raise a.refuse("ceil_mode where padding counts: what lies beyond the padding is not documented")

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(_padded(x, _reached(a, kernel, strides), 0.0), kernel, strides)

    x = a.tensor("x")
    return mean(x) / mean(torch.ones_like(x)) if excluded else mean(x)


def _reached(a: Arguments, kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The padding; with ``ceil_mode`` (PyTorch's) also the excess of the last window.

    A window that would start in the end padding is omitted.
    """
    padding = a.padding()
    if not a.flag("ceil_mode"):
        return padding
    for axis, length in enumerate(a.raw("x").shape[2:]):
        before, after = padding[2 * axis : 2 * axis + 2]
        count = -(-(length + before + after - kernel[axis]) // strides[axis]) + 1
        if (count - 1) * strides[axis] >= length + before:
            count -= 1
        padding[2 * axis + 1] = max(after, (count - 1) * strides[axis] + kernel[axis] - length - before)
    return padding
