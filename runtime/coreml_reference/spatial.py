"""MIL's resizing and data movement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.runtime.coreml_reference.arguments import Arguments


def depth_to_space(a: Arguments) -> Tensor:
    """TensorFlow's order: input channel (row * block + column) * C + c (ONNX: DCR)."""
    x, block = a.raw("x"), a.integer("block_size", 1)
    n, depth, height, width = x.shape
    channels = depth // block**2
    cells = x.reshape(n, block, block, channels, height, width)  # (N, row, column, C, H, W)
    return cells.permute(0, 3, 4, 1, 5, 2).reshape(n, channels, height * block, width * block)


def space_to_depth(a: Arguments) -> Tensor:
    """TensorFlow's order: output channel (row * block + column) * C + c."""
    x, block = a.raw("x"), a.integer("block_size", 1)
    n, channels, height, width = x.shape
    cells = x.reshape(n, channels, height // block, block, width // block, block)  # (N, C, H, row, W, column)
    return cells.permute(0, 3, 5, 1, 2, 4).reshape(n, channels * block**2, height // block, width // block)


def pad(a: Arguments) -> Tensor:
    """The last axes padded by a constant, by mirroring without the edge (reflect) or by the edge (replicate)."""
    mode = a.text("mode", "constant")
    if mode not in {"constant", "reflect", "replicate"}:
        raise a.refuse(f"mode {mode!r}")
    amounts = a.ints("pad", ())
    innermost_first = [n for axis in reversed(range(len(amounts) // 2)) for n in amounts[2 * axis : 2 * axis + 2]]
    if mode != "constant":
        return F.pad(a.tensor("x"), innermost_first, mode=mode)
    return F.pad(
        a.tensor("x"), innermost_first, value=float(a.tensor("constant_val")) if "constant_val" in a.given else 0.0
    )


def slice_by_index(a: Arguments) -> Tensor:
    """x[begin:end:stride] per axis; a mask opens an end."""
    x = a.raw("x")
    rank = x.dim()
    begin, end, stride = (a.ints(name, [default] * rank) for name, default in (("begin", 0), ("end", 0), ("stride", 1)))
    begin_open, end_open = (a.ints(name, [0] * rank) for name in ("begin_mask", "end_mask"))
    return x[
        tuple(
            slice(None if begin_open[i] else begin[i], None if end_open[i] else end[i], stride[i]) for i in range(rank)
        )
    ]


def gather(a: Arguments) -> Tensor:
    """Gather along one axis, which the axes of ``indices`` replace."""
    indices, x = a.raw("indices").long(), a.raw("x")
    axis = a.integer("axis", 0) % x.dim()
    found = x.index_select(axis, indices.reshape(-1))
    return found.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def upsample_nearest(a: Arguments) -> Tensor:
    """Nearest by integer factors: every pixel is repeated."""
    tall, wide = a.integer("scale_factor_height", 1), a.integer("scale_factor_width", 1)
    return a.raw("x").repeat_interleave(tall, 2).repeat_interleave(wide, 3)


def upsample_bilinear(a: Arguments) -> Tensor:
    """Linear by integer factors, at MIL's own sampling points: spacing X_in / X_out, or (X_in - 1) / (X_out - 1) with
    corners.
    """
    x = a.tensor("x")
    size = [x.shape[2] * a.integer("scale_factor_height", 1), x.shape[3] * a.integer("scale_factor_width", 1)]
    return _linear(x, size, "STRICT_ALIGN_CORNERS" if a.flag("align_corners", default=True) else "UNALIGN_CORNERS")


def resize_bilinear(a: Arguments) -> Tensor:
    """Linear to a given size."""
    size = [a.integer("target_size_height", 1), a.integer("target_size_width", 1)]
    return _linear(a.tensor("x"), size, _sampling(a))


def resize(a: Arguments) -> Tensor:
    """iOS 17: linear to a size that is computed. A size of 0 keeps that of ``x``."""
    x, sizes = a.tensor("x"), a.ints("shape", ())
    if a.text("interpolation_mode", "LINEAR") != "LINEAR" or a.integer("resized_dims", 0) != 2 or len(sizes) < 2:
        raise a.refuse("only linear of the last two axes is evaluated")
    return _linear(x, [n or length for n, length in zip(sizes[-2:], x.shape[2:], strict=True)], _sampling(a))


def _sampling(a: Arguments) -> str:
    mode = a.text("sampling_mode", "DEFAULT")
    if mode not in {"DEFAULT", "STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS"}:
        raise a.refuse(f"sampling_mode {mode!r}")
    return mode


def _linear(x: Tensor, size: Sequence[int], sampling: str) -> Tensor:
    """Linear along height, then width, at the sampling points in MIL's documentation of ``resize_bilinear``."""
    for axis, count in zip((2, 3), size, strict=True):
        length = x.shape[axis]
        points = _points(length, count, sampling).clamp(0, length - 1)
        first = points.floor().long()
        shape = [-1 if i == axis else 1 for i in range(4)]
        share = (points - first).float().reshape(shape)
        low, high = x.index_select(axis, first), x.index_select(axis, (first + 1).clamp(max=length - 1))
        x = low + (high - low) * share
    return x


def _points(length: int, count: int, sampling: str) -> Tensor:
    index = torch.arange(count, dtype=torch.float64)
    if sampling == "UNALIGN_CORNERS":
        return (index + 0.5) * length / count - 0.5
    reach = length - 1 if sampling == "STRICT_ALIGN_CORNERS" else length - length / count  # DEFAULT
    return index * reach / max(count - 1, 1)
