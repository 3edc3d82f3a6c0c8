"""Deviations of LiteRT and its XNNPACK delegate from ONNX (see ``table.py``)."""

from __future__ import annotations

from clearport.export.quirks.table import Quirk
from clearport.operators import activations
from clearport.operators.convolution import CONV
from clearport.operators.layouts import DEPTH_TO_SPACE
from clearport.operators.pools import AVERAGE_POOL
from clearport.operators.quantization import REQUANTIZE
from clearport.operators.resize import RESIZE

_SEEN = "ai-edge-litert 2.3.0"

LEAKY_RELU = Quirk(
    "leaky ReLUs in fixed point",
    _SEEN,
    activations.LEAKY_RELU.name,
    "int8: slopes and scales that are not whole parts of 256",
    "the slope in 8 bits of fixed point: up to a step off on a third of the values, more behind other layers",
    "avoided",
    "quantize/ranges/leaky_relu.py: slopes and scales that fixed point holds",
)
LARGE_FACTOR = Quirk(
    "factors of 256",
    _SEEN,
    CONV.name,
    "int8: sums whose steps are 256 times as large as those of the output, or larger",
    "nothing: the process aborts when XNNPACK turns the file down",
    "rewritten",
    "export/tflite/weights.py: dead channels are counted anew, others refused",
)
CHANNEL_ORDER = Quirk(
    "order of channels",
    _SEEN,
    DEPTH_TO_SPACE.name,
    "mode CRD",
    "nothing: DEPTH_TO_SPACE has no such mode",
    "refused",
    "export/passes/depth_to_space.py writes DCR wherever a convolution is before it",
)

OWN_BILINEAR = Quirk(
    "bilinear in fixed point",
    _SEEN,
    RESIZE.name,
    "int8, linear, by TFLite's own kernel (XNNPACK switched off)",
    "places in 10 bits of fixed point: up to 8 steps off on noise, the more the larger the picture",
    "avoided",
    "XNNPACK takes the operator wherever it is not switched off",
)

HALVES_OF_AVERAGES = Quirk(
    "halves of averages",
    _SEEN,
    AVERAGE_POOL.name,
    "int8: averages of an even number of pixels",
    "halves away from the middle level, others to even: a bias of 1/8 of a step in the dark (2x2 pixels)",
    "avoided",
    "quantize/ranges/averages.py: depthwise convolutions with steps of their own",
)
REQUANTIZED = Quirk(
    "changes of scale in fixed point",
    _SEEN,
    REQUANTIZE.name,
    "int8: QUANTIZE of int8",
    "the ratio of scales in 8 bits of fixed point: a step off on up to a quarter of the values",
    "rewritten",
    "export/tflite/ops_requantize.py: identity writes a product with 1",
)

QUIRKS = (OWN_BILINEAR, LEAKY_RELU, LARGE_FACTOR, CHANNEL_ORDER, HALVES_OF_AVERAGES, REQUANTIZED)
