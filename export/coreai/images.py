"""Images of Core AI programs: between uint8 (H, W, 4), the pixels of a 32-bit BGRA image, and pictures (1, 3, H, W).

Pixels become the network's range, and back, in float32, whatever the precision of the network. Alpha is ignored, and
255 in outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreai.lowering import dtype_of, sides_of

if TYPE_CHECKING:
    from clearport.base import TensorSpec
    from clearport.export.coreai.lowering import Lowering

_CHANNELS, _OPAQUE = 2, 255


def entered(low: Lowering, spec: TensorSpec, pixels: Any) -> Any:
    """The pixels of an image as float32 (1, 3, H, W), RGB, in the range of ``spec``."""
    ops = low.ops
    height, width, _ = sides_of(pixels)
    planes = ops.transpose(_reversed(low, pixels), np.array([2, 0, 1], np.uint32))
    values = ops.cast(ops.reshape(planes, np.array([1, 3, height, width], np.int32)), np.float32)
    return _affine(low, values, spec.pixel_step, spec.span[0])


def left(low: Lowering, spec: TensorSpec, values: Any) -> Any:
    """A picture (1, 3, H, W), RGB, in the range of ``spec`` as pixels of an image: clipped, rounded half to even."""
    ops, step = low.ops, spec.pixel_step
    values = values if dtype_of(values) == np.dtype(np.float32) else ops.cast(values, np.float32)
    levels = _affine(low, values, 1.0 / step, -spec.span[0] / step)
    inside = ops.broadcasting_minimum(ops.broadcasting_maximum(levels, np.float32(0)), np.float32(_OPAQUE))
    _, _, height, width = sides_of(values)
    planes = ops.reshape(ops.cast(ops.round_(inside), np.uint8), np.array([3, height, width], np.int32))
    color = _reversed(low, ops.transpose(planes, np.array([1, 2, 0], np.uint32)))
    return ops.pad(color, np.array([0, 0, 0, 0, 0, 1], np.uint32), np.uint8(_OPAQUE))


def _reversed(low: Lowering, pixels: Any) -> Any:
    """The first three channels of (H, W, C), in reverse order."""
    height, width, _ = sides_of(pixels)
    planes = []
    for channel in (2, 1, 0):
        ends = [0, 0, channel], [height, width, channel + 1], [1, 1, 1]
        planes.append(low.ops.slice_(pixels, *(np.array(each, np.int32) for each in ends)))
    return low.ops.concat(np.int32(_CHANNELS), planes)


def _affine(low: Lowering, x: Any, scale: float, offset: float) -> Any:
    """``x * scale + offset``, without a scale of 1 or an offset of 0."""
    if scale != 1.0:
        x = low.ops.broadcasting_mul(x, np.float32(scale))
    return low.ops.broadcasting_add(x, np.float32(offset)) if offset else x
