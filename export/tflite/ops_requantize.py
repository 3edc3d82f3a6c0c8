"""TFLite rule of the node that the quantizer writes where int8 begins, or changes its scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.export.tflite.lower import Lowering
from clearport.export.tflite.tensors import Quant
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

_ONE = np.array([64], np.int8), Quant((1 / 64,))
"""The number 1: a power of two adds no rounding to the ratio of scales."""


_MOST = 32.0
"""The largest change of scale that is a product: NNAPI takes MUL of version 2, whose factors come to less than 1."""


def identity(low: Lowering, node: ir.Node) -> None:
    """Identity -> QUANTIZE where int8 begins, a product with 1 where the scale changes; else nothing.

    Of XNNPACK's operators QUANTIZE has the ratio of scales in 8 bits of fixed point, MUL in float32
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
