"""Translations of PyTorch operators that its exporter handles badly or not at all, into ONNX forms that passes know.

Each is an onnxscript function for ``custom_translation_table``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Array


def table() -> dict[Any, Callable[..., Any]]:
    """PyTorch operator -> translation."""
    aten = torch.ops.aten
    return {
        aten.pixel_unshuffle.default: _unshuffled,
        aten.adaptive_avg_pool2d.default: _adaptive_mean,
    }


def _unshuffled(image: Any, factor: int) -> Any:
    """pixel_unshuffle as two operators: the exporter's own form computes sizes at run time if they are dynamic."""
    from onnxscript import opset20 as op

    channels = image.shape[1]
    order = np.arange(channels * factor**2).reshape(factor**2, channels).T.reshape(-1)
    packed = op.SpaceToDepth(image, blocksize=factor)  # channel s*C + c, where PyTorch has c*factor² + s
    return op.Gather(packed, op.Constant(value_ints=order.tolist()), axis=1)


def _adaptive_mean(image: Any, output_size: Sequence[int]) -> Any:
    """Adaptive average pooling: global, by equal windows, or else by two matrices; the exporter's own form gathers
    windows.
    """
    from onnxscript import opset20 as op

    if list(output_size) == [1, 1]:
        return op.ReduceMean(image, op.Constant(value_ints=[-2, -1]), keepdims=1)
    sides = _sides(image, output_size)
    if all(n % m == 0 for n, m in zip(sides, output_size, strict=True)):
        window = [n // m for n, m in zip(sides, output_size, strict=True)]
        return op.AveragePool(image, kernel_shape=window, strides=window)
    rows, columns = (_shares(n, m) for n, m in zip(sides, output_size, strict=True))
    return op.MatMul(op.MatMul(_constant(rows), image), _constant(columns.T.copy()))


def _sides(image: Any, output_size: Sequence[int]) -> list[int]:
    sides = list(image.shape[-2:])
    if not all(isinstance(n, int) for n in sides):
        raise ValueError(f"pooling to {list(output_size)} needs a fixed size")
    return sides


def _shares(size: int, count: int) -> Array:
    """(count, size): weights of each row in each of PyTorch's windows."""
    shares = np.zeros((count, size), np.float32)
    for place in range(count):
        begin, end = place * size // count, -(-(place + 1) * size // count)
        shares[place, begin:end] = 1 / (end - begin)
    return shares


def _constant(array: Array) -> Any:
    from onnxscript import opset20 as op

    return op.Constant(value=ir.tensor(array))
