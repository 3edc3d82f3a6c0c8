"""The order in which a TFLite file stores the axes of an ONNX tensor: NHWC for pictures, until a Transpose."""

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
    """The order of a tensor that was never transposed: NHWC for rank 4, ONNX's order for other ranks."""
    return NHWC if rank == 4 else tuple(range(rank))


def in_order(name: str, order: Order) -> str:
    """The name of the tensor that stores ``name`` in an order other than ``native``."""
    return f"{name}/{''.join(map(str, order))}"


def free_axes(inputs: Sequence[Tensor], dims: Sequence[int], order: Order | None = None) -> tuple[bool, ...]:
    """Height and width are dynamic if an input's are, except axes of size 1 (as after global pooling)."""
    free = any(any(t.free) for t in inputs)
    return tuple(free and axis in {2, 3} and n > 1 for axis, n in zip(order or native(len(dims)), dims, strict=True))


def broadcasting(array: Array) -> Array:
    """An NCHW array (or fewer axes, aligned right) as the NHWC array with the same broadcasting, without leading 1s."""
    if array.ndim > 4:
        return array
    nhwc = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(NHWC)
    kept = next((axis for axis, n in enumerate(nhwc.shape) if n > 1), 3)
    return nhwc.reshape(nhwc.shape[kept:])
