"""Deviations of Core ML and coremltools from ONNX (see ``table.py``); Core ML itself exists on macOS only."""

from __future__ import annotations

from clearport.export.quirks.table import Quirk
from clearport.operators.pools import AVERAGE_POOL
from clearport.operators.unary import LOG

_SEEN = "coremltools 9.0"

LOG_EPSILON = Quirk(
    "a number added to logarithms",
    _SEEN,
    LOG.name,
    "log without an epsilon",
    "log(x + 1e-45)",
    "rewritten",
    "mil_math.log says epsilon 0",
)
COUNTED_CEIL = Quirk(
    "averages that are rounded up",
    _SEEN,
    AVERAGE_POOL.name,
    "ceil_mode with count_include_pad",
    "what is beyond the padding is not documented",
    "refused",
    "export/passes/sizes.py writes a Pad at a fixed size; export/coreml/spatial.py refuses it at a free one",
)
HALF_SUMS = Quirk(
    "int8 in float16",
    _SEEN,
    "",
    "int8 programs whose sums are float16 between the roundings",
    "sums lose the scale table's last bits: 44.8 dB to the QDQ model instead of over 70",
    "avoided",
    "mil_lowering.COMPUTE: float32 between the roundings",
)

QUIRKS = (LOG_EPSILON, COUNTED_CEIL, HALF_SUMS)
