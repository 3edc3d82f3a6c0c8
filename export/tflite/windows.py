"""Sliding windows: ONNX's explicit pads as TFLite's SAME or VALID, with a PAD operator if neither fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.export.tflite.lower import Lowering
    from clearport.export.tflite.tensors import Tensor

SAME, VALID = 0, 1
"""``Padding`` of the TFLite schema."""


@dataclass(frozen=True)
class Window:
    """Kernel, strides and dilations as (vertical, horizontal); pads as ((top, bottom), (left, right))."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], tuple[int, int]]

    @property
    def reach(self) -> tuple[int, ...]:
        """Pixels from the first to the last tap."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def window_of(low: Lowering, node: ir.Node, kernel: Sequence[int]) -> Window:
    """The window of a convolution or pooling node."""
    auto = graphs.attr_str(node, "auto_pad", "NOTSET")
    if auto not in {"NOTSET", "VALID"}:
        raise low.refuse(node, f"auto_pad {auto}: use explicit pads")
    top, left, bottom, right = graphs.attr_ints(node, "pads", (0, 0, 0, 0))
    return Window(
        tuple(kernel),
        graphs.attr_ints(node, "strides", (1, 1)),
        graphs.attr_ints(node, "dilations", (1, 1)),
        ((top, bottom), (left, right)),
    )


def padded(
    low: Lowering, node: ir.Node, image: Tensor, window: Window, fill: float = 0.0, *, same: bool = True
) -> tuple[Tensor, int, tuple[int, int]]:
    """The image to slide over, SAME or VALID, and the height and width of the result.

    The image is padded with ``fill`` first unless the pads are zero or equal TFLite's SAME at this size (with dynamic
    sizes: at every size), and ``same`` allows SAME.
    """
    axes = range(2)
    sizes = [image.dims[1 + a] + sum(window.pads[a]) for a in axes]
    height, width = ((sizes[a] - window.reach[a]) // window.strides[a] + 1 for a in axes)
    if height < 1 or width < 1:
        raise low.refuse(node, f"its window of {window.reach} is larger than the padded image {tuple(sizes)}")
    if all(window.pads[a] == (0, 0) for a in axes):
        return image, VALID, (height, width)
    if same and all(_is_same(image, window, a, (height, width)[a]) for a in axes):
        return image, SAME, (height, width)
    return _pad(low, node, image, window, fill), VALID, (height, width)


def _is_same(image: Tensor, window: Window, axis: int, result: int) -> bool:
    size, stride, reach = image.dims[1 + axis], window.strides[axis], window.reach[axis]
    if any(image.free) and stride != 1:
        return False
    total = max((result - 1) * stride + reach - size, 0)
    return result == -(-size // stride) and window.pads[axis] == (total // 2, total - total // 2)


def _pad(low: Lowering, node: ir.Node, image: Tensor, window: Window, fill: float) -> Tensor:
    pads = ((0, 0), *window.pads, (0, 0))
    dims = tuple(n + before + after for n, (before, after) in zip(image.dims, pads, strict=True))
    output = low.between(node, "padded", image, dims)
    inputs = [image, low.integers("paddings", pads)]
    if fill:
        low.file.operator("PADV2", [*inputs, low.number("fill", fill, image)], output)
    else:
        low.file.operator("PAD", inputs, output)
    return output
