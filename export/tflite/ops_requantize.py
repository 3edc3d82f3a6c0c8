"""TFLite rule of Identity, the quantizer's node for quantization and requantization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.export.tflite.lower import Lowering
from clearport.export.tflite.tensors import Quant
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

_ONE = np.array([64], np.int8), Quant((1 / 64,))
"""Int8 level that represents 1: a power of two, so that it adds no rounding to the ratio of scales."""


_MOST = 32.0
"""The largest scale ratio written as a product: NNAPI needs MUL version 2, whose scale factor must be below 1."""


def identity(low: Lowering, node: ir.Node) -> None:
    """Identity -> QUANTIZE where int8 begins, a product with 1 to requantize; else nothing.

    XNNPACK's QUANTIZE has the ratio of scales in 8-bit fixed point, its MUL in float32
    (``export/quirks/litert.py``).
    """
    given, order = low.written(graphs.need(node, 0))
    own = low.quant(node)
    if own is None or own == given.quant:
        low.bind(node, low.stored(node)[0], order)
    elif given.quant is None or not 1 / _MOST <= given.quant.scale[0] / own.scale[0] <= _MOST:
        low.write(node, "QUANTIZE", [given], given.dims, order)
    else:
        one = low.file.constant("one", *_ONE)
        low.write(node, "MUL", [given, one], given.dims, order, fusedActivationFunction=0)
