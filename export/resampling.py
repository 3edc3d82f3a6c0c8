"""Sampling points of a Resize along height and width, as computed by ONNX Runtime.

Mathematically equal formulas differ in float32 where a point falls on the border of two pixels, and runtimes compute in
float32. So nothing is derived here: ONNX Runtime, the reference of every file, resizes a ramp 0, 1, 2 ..., which yields
the coordinate of each output pixel, and an identity matrix, which yields the weights of any mode. ONNX Runtime copies
its input if a Resize keeps the size of every axis, so a single axis is resized together with one that grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

STEPS = 4
"""Maximum change of a factor, in float32 ulps."""

_SIZE_POLICY = "keep_aspect_ratio_policy"


def known(node: ir.Node) -> bool:
    """Whether a Resize of (N, C, H, W) by constant factors or to a constant size changes only height and width."""
    given = _per_axis(node)
    if given is None or graphs.attr_str(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return False
    kind, numbers = given
    if kind == "scales":
        return bool(numbers[0] == numbers[1] == 1)
    shape = graphs.need(node, 0).shape
    kept = shape is not None and all(shape[axis] == int(numbers[axis]) for axis in (0, 1))
    return kept and graphs.attr_str(node, _SIZE_POLICY, "stretch") == "stretch"


def factors(node: ir.Node) -> tuple[float, float] | None:
    """The float32 factors of height and width, if the node has scales and no sizes."""
    given = _per_axis(node)
    return None if given is None or given[0] != "scales" else (float(given[1][2]), float(given[1][3]))


def places(node: ir.Node, axis: int, length: int) -> Array:
    """Float32 coordinate of each output pixel along ``axis`` (2 or 3) of size ``length``; for nearest, the source
    pixel.

    For modes other than nearest and linear, only the number of coordinates is meaningful.
    """
    return _resized(node, axis, np.arange(length, dtype=np.float32)[:, None])[:, 0]


def weights(node: ir.Node, axis: int, length: int) -> Array:
    """The interpolation matrix (new size, ``length``), float32, of pixels along ``axis``."""
    return _resized(node, axis, np.eye(length, dtype=np.float32))


def same(ours: Array, theirs: Array, length: int) -> bool:
    """Whether coordinates of linear interpolation are equal within float32 precision at ``length``."""
    return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=0, atol=1e-4 + length * 2.0**-22))


def moved(factor: np.float32, old: int, new: int) -> np.float32:
    """The nearest factor with floor(factor * ``old``) == ``new`` in both float32 and float64."""
    near = factor
    for _ in range(STEPS):
        if {int(np.floor(float(near) * old)), int(np.floor(near * np.float32(old)))} == {new}:
            return near
        near = np.nextafter(near, np.float32(np.inf if float(near) * old < new else -np.inf))
    return factor


def shifts(node: ir.Node, axis: int, length: int) -> bool:
    """Whether a nearest Resize that keeps ``length`` takes other pixels along ``axis``, as an operator by its factor:
    ONNX Runtime, which copies where no axis changes its size, takes none (``places``).
    """
    pixels = np.arange(length, dtype=np.float32)
    return not np.array_equal(_resampled(node, axis, pixels[:, None])[:, 0], pixels)


def _resized(node: ir.Node, axis: int, columns: Array) -> Array:
    """Columns (length, any number) resized along ``axis`` only."""
    given = _per_axis(node)
    assert given is not None
    return columns if _copies(node, *given) else _resampled(node, axis, columns)


def _resampled(node: ir.Node, axis: int, columns: Array) -> Array:
    """``_resized`` where another axis changes its size."""
    given = _per_axis(node)
    assert given is not None
    kind, numbers = given
    own: list[Any] = [1, 1, numbers[axis], 2] if kind == "scales" else [1, columns.shape[1], int(numbers[axis]), 2]
    lines = np.ascontiguousarray(columns.T[None, :, :, None])
    body = _one_axis(node, kind, np.asarray(own, np.float32 if kind == "scales" else np.int64), lines.shape)
    session = graphs.session(body, as_written=True)
    found: Array = session.run(None, {"lines": lines})[0][0, :, :, 0]
    return np.ascontiguousarray(found.T)


def _copies(node: ir.Node, kind: str, numbers: Array) -> bool:
    """Whether no axis changes its size, so that ONNX Runtime copies whatever the factors are."""
    given = graphs.need(node, 0).shape or ()
    shape = [n for n in given if isinstance(n, int)]
    if len(shape) < len(given):
        return False
    after = numbers if kind == "sizes" else np.floor(np.asarray(shape, np.float32) * numbers.astype(np.float32))
    return bool(np.array_equal(after, shape))


def _one_axis(node: ir.Node, kind: str, numbers: Array, shape: tuple[int, ...]) -> ir.Model:
    source = ir.val("lines", ir.DataType.FLOAT, ir.Shape(shape))
    held = ir.val(kind, const_value=ir.tensor(numbers, name=kind))
    attributes = [a for name, a in node.attributes.items() if name not in {"axes", _SIZE_POLICY}]
    operands = [source, None, held] if kind == "scales" else [source, None, None, held]
    made = ir.Node("", "Resize", operands, attributes)
    made.outputs[0].name, made.outputs[0].type = "resized", ir.TensorType(ir.DataType.FLOAT)
    body = ir.Graph(
        [source], made.outputs, nodes=[made], initializers=[held], opset_imports={"": graphs.OPSET}, name="one axis"
    )
    return ir.Model(body, ir_version=10)


def _per_axis(node: ir.Node) -> tuple[str, Array] | None:
    """Factors or sizes of all four axes; None where they are computed, or there are other axes than four."""
    shape = graphs.need(node, 0).shape
    if shape is None or len(shape) != 4:
        return None
    axes = [axis % 4 for axis in graphs.attr_ints(node, "axes", (0, 1, 2, 3))]
    for kind, index in (("sizes", 3), ("scales", 2)):
        held = graphs.constant(graphs.operand(node, index))
        if held is not None and held.size == len(axes):
            whole = np.ones(4, held.dtype)
            whole[axes] = held
            return kind, whole
    return None
