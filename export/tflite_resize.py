"""Resizing: ONNX names five ways to place the pixels of two sizes over each other, TFLite has three.

Which of the three gives the same result is decided by computing where every pixel comes from, both ways.
Sources: ONNX operator Resize-19; ``resize_nearest_neighbor.h`` and ``resize_bilinear.h`` of TFLite's kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport import graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array
    from clearport.export.tflite_file import Tensor
    from clearport.export.tflite_lower import Lowering

_FLAGS = ((False, False), (False, True), (True, False))
"""(align_corners, half_pixel_centers), the least demanding first."""


def resized_to(low: Lowering, node: ir.Node, image: Tensor) -> tuple[int, int]:
    """Height and width that a Resize node gives."""
    old = (image.dims[0], image.dims[3], *image.dims[1:3])
    axes = [axis % 4 for axis in graphs.attr_ints(node, "axes", (0, 1, 2, 3))]
    scales, sizes = _scales_and_sizes(low, node)
    new = list(old)
    for place, axis in enumerate(axes):
        new[axis] = int(sizes[place]) if sizes is not None else int(np.floor(old[axis] * scales[place]))
    if tuple(new[:2]) != old[:2]:
        raise low.refuse(node, f"it resizes {old} to {tuple(new)}: only height and width can change")
    return new[2], new[3]


def flags(low: Lowering, node: ir.Node, image: Tensor, size: tuple[int, int]) -> tuple[bool, bool]:
    """(align_corners, half_pixel_centers) with which TFLite takes every pixel from the same place as ONNX."""
    nearest = graphs.attr_str(node, "mode", "nearest") == "nearest"
    wanted = [_onnx_places(node, image.dims[1 + axis], size[axis], axis, nearest=nearest) for axis in (0, 1)]
    for corners, half in _FLAGS:
        places = [_tflite_places(image.dims[1 + a], size[a], corners, half, nearest=nearest) for a in (0, 1)]
        if all(np.allclose(ours, theirs, atol=1e-4) for ours, theirs in zip(wanted, places, strict=True)):
            return corners, half
    how = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel")
    raise low.refuse(node, f"{how} from {image.dims[1:3]} to {size}: TFLite places the pixels otherwise")


def _scales_and_sizes(low: Lowering, node: ir.Node) -> tuple[Array, Array | None]:
    scales, sizes = (graphs.constant(graphs.operand(node, index)) for index in (2, 3))
    if sizes is not None and sizes.size:
        return np.zeros(0), sizes
    if scales is None:
        raise low.refuse(node, "its scales are not constants")
    return scales, None


def _onnx_places(node: ir.Node, old: int, new: int, axis: int, *, nearest: bool) -> Array:
    """Where in the old image each new row (axis 0) or column (axis 1) comes from, by ONNX."""
    scales = graphs.constant(graphs.operand(node, 2))
    # ONNX goes by the scale as it is written, which need not be new / old when that was rounded down.
    scale = float(scales[axis - 2]) if scales is not None and scales.size else new / old
    x: Array = np.arange(new, dtype=np.float64)
    how = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel")
    if how == "align_corners":
        places = x * (old - 1) / max(new - 1, 1)
    elif how == "asymmetric":
        places = x / scale
    elif how == "pytorch_half_pixel" and new == 1:
        places = x * 0
    else:
        places = (x + 0.5) / scale - 0.5
    if nearest:
        rounding: dict[str, Array] = {
            "floor": np.floor(places),
            "ceil": np.ceil(places),
            "round_prefer_floor": np.ceil(places - 0.5),
            "round_prefer_ceil": np.floor(places + 0.5),
        }
        places = rounding[graphs.attr_str(node, "nearest_mode", "round_prefer_floor")]
    return places.clip(0, old - 1)


def _tflite_places(old: int, new: int, corners: bool, half: bool, *, nearest: bool) -> Array:
    scale = np.float32(old - 1) / np.float32(new - 1) if corners and new > 1 else np.float32(old) / np.float32(new)
    x: Array = np.arange(new, dtype=np.float32)
    places: Array
    if nearest:
        places = (x + np.float32(0.5 if half else 0)) * scale
        places = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    else:
        places = (x + np.float32(0.5)) * scale - np.float32(0.5) if half else x * scale
    return places.clip(0, old - 1)
