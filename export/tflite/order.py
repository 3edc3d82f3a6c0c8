"""In which order a TFLite file stores the axes of an ONNX value: NHWC for pictures, until a Transpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array
    from clearport.export.tflite.tensors import Tensor

NHWC = (0, 2, 3, 1)

Order = tuple[int, ...]
"""``stored[k]`` is axis ``order[k]`` of the ONNX value."""


def native(rank: int) -> Order:
    """The order of a value that nothing transposed: NHWC for rank 4, as in ONNX for any other."""
    return NHWC if rank == 4 else tuple(range(rank))


def in_order(name: str, order: Order) -> str:
    """The name of a tensor that holds the value ``name`` in another order than ``native``."""
    return f"{name}/{''.join(map(str, order))}"


def free_axes(inputs: Sequence[Tensor], dims: Sequence[int], order: Order | None = None) -> tuple[bool, ...]:
    """Height and width are free if an input's are, but for an axis of size 1 (what global pooling leaves)."""
    free = any(any(t.free) for t in inputs)
    return tuple(free and axis in {2, 3} and n > 1 for axis, n in zip(order or native(len(dims)), dims, strict=True))


def broadcasting(array: Array) -> Array:
    """NCHW, or fewer axes counted from the right, as the NHWC array that broadcasts alike, without leading ones."""
    if array.ndim > 4:
        return array
    nhwc = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(NHWC)
    kept = next((axis for axis, n in enumerate(nhwc.shape) if n > 1), 3)
    return nhwc.reshape(nhwc.shape[kept:])
