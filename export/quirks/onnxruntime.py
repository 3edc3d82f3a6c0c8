"""Deviations of ONNX Runtime from ONNX (see ``table.py``)."""

from __future__ import annotations

from clearport.export.quirks.table import Quirk
from clearport.operators.convolution import CONV
from clearport.operators.reductions import SOFTMAX
from clearport.operators.resize import RESIZE

_SEEN = "onnxruntime 1.31.1"

FLOAT_BETWEEN_INT8 = Quirk(
    "float between int8",
    _SEEN,
    SOFTMAX.name,
    "default optimizations: a float operator between DequantizeLinear and QuantizeLinear",
    "the operator's int8 form, which rounds its result to other steps: 24 to 35 dB",
    "rewritten",
    "quantize/qdq.py guard_floats: a Max that changes nothing before the QuantizeLinear",
)
FLOAT_WEIGHTS = Quirk(
    "float weights between int8",
    _SEEN,
    CONV.name,
    "default optimizations: float weights between DequantizeLinear and QuantizeLinear (WeightBiasQuantization)",
    "weights of 8 bits with one scale for all channels: 12 dB less",
    "rewritten",
    "quantize/qdq.py guard_floats; graphs.session switches the optimizer off",
)
SAME_SIZE = Quirk(
    "Resize to the size it has",
    _SEEN,
    RESIZE.name,
    "a factor near 1 that adds no pixel: 1.1 at 8 pixels, cubic or nearest-exact",
    "a copy of its input; ONNX and PyTorch take pixels by the factor",
    "refused",
    "export/passes/sizes.py; at a fixed size",
)
OVERFLOW = Quirk(
    "int8 sums that overflow",
    _SEEN,
    CONV.name,
    "int8 weights beyond 64, on an x86 CPU without VNNI, where nothing is said",
    "pairs of products cut at 32767: NCNet's int8 file loses 1.7 dB on Set14 instead of 0.02",
    "avoided",
    "run_onnxruntime asks for session.x64quantprecision on such a CPU alone, since it doubles the time on others; .ort "
    "files do not follow it: these are not proven there",
)
QUIRKS = (FLOAT_BETWEEN_INT8, FLOAT_WEIGHTS, SAME_SIZE, OVERFLOW)
