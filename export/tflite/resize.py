"""Resizing: ONNX has five coordinate transformation modes, TFLite has three.

An equivalent mode is found by comparing the source coordinates of every pixel: ONNX Runtime's, and TFLite's formulas in
float32 as in its kernels (``resize_nearest_neighbor.h``, ``resize_bilinear.h``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.export import resampling
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from clearport.base import Array
    from clearport.export.tflite.lower import Lowering
    from clearport.export.tflite.tensors import Tensor

_FLAGS = ((False, False), (False, True), (True, False))
"""(align_corners, half_pixel_centers), lowest operator version first."""


def sampled(low: Lowering, node: ir.Node, image: Tensor) -> tuple[tuple[int, int], tuple[bool, bool]]:
    """Output height and width of a Resize, and the (align_corners, half_pixel_centers) that match ONNX Runtime.

    Raises:
        UnsupportedOperator: its scales or sizes are computed, other axes change, or no TFLite mode matches.
    """
    if not resampling.known(node):
        raise low.refuse(node, "only height and width can change, by constant factors or to a constant size")
    found = form(node, image.dims[1:3])
    if found is not None:
        return found
    how = graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel")
    raise low.refuse(
        node, f"{how} from {tuple(image.dims[1:3])}: TFLite uses another pixel alignment: give --size HEIGHTxWIDTH"
    )


def form(node: ir.Node, old: Sequence[int]) -> tuple[tuple[int, int], tuple[bool, bool]] | None:
    """Output height and width of a Resize of ``old``, and the flags; None if no TFLite mode matches."""
    if not resampling.known(node):
        return None
    wanted = [resampling.places(node, 2 + axis, old[axis]) for axis in (0, 1)]
    size = len(wanted[0]), len(wanted[1])
    nearest = graphs.attr_str(node, "mode", "nearest") == "nearest"
    for corners, half in _FLAGS:
        found = [_places(old[a], size[a], corners, half, nearest=nearest) for a in (0, 1)]
        if all(_equal(w, f, n, nearest=nearest) for w, f, n in zip(wanted, found, old, strict=True)):
            return size, (corners, half)
    return None


def _equal(wanted: Array, found: Array, length: int, *, nearest: bool) -> bool:
    return bool(np.array_equal(wanted, found)) if nearest else resampling.same(wanted, found, length)


def _places(old: int, new: int, corners: bool, half: bool, *, nearest: bool) -> Array:
    middle = np.float32(0.5)
    scale = np.float32(old - 1) / np.float32(new - 1) if corners and new > 1 else np.float32(old) / np.float32(new)
    x: Array = np.arange(new, dtype=np.float32)
    places: Array
    if nearest:
        places = (x + (middle if half else np.float32(0))) * scale
        places = np.floor(places + middle) if corners else np.floor(places)
    else:
        places = (x + middle) * scale - middle if half else x * scale
    return places.clip(0, old - 1)
