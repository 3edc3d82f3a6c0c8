"""What ncnn computes otherwise than ONNX says (see ``table.py``)."""

from __future__ import annotations

from clearport.export.quirks.table import Quirk
from clearport.operators.binary import POW
from clearport.operators.convolution import CONV
from clearport.operators.resize import RESIZE

_SEEN = "ncnn 1.0.20261020"

NO_BATCH = Quirk(
    "no batch",
    _SEEN,
    CONV.name,
    "more than one picture, or other axes than four",
    "other axes for height and width: numbers from elsewhere in memory",
    "refused",
    "export/ncnn/lower.py: Lowering.picture",
)
BY_SIZE = Quirk(
    "resizing by the sizes",
    _SEEN,
    RESIZE.name,
    "a factor whose product with the size is rounded down, written to Interp as a size",
    "the factor of the two sizes: 10 levels off for 25x35 by 0.5",
    "rewritten",
    "export/ncnn/resize.py writes factors where they sample as ONNX Runtime does",
)
MULTIPLIED = Quirk(
    "nearest by multiplying",
    _SEEN,
    RESIZE.name,
    "nearest by a factor whose inverse float32 does not hold",
    "x * (1 / factor) instead of x / factor: the other pixel where that falls on a border",
    "refused",
    "export/ncnn/resize.py compares the pixels at a fixed size, and the factor at a free one",
)
POWER_OF_ZERO = Quirk(
    "power of zero",
    _SEEN,
    POW.name,
    "a number to a power, where vectors of numbers are computed",
    "2.4e38 for zero, by way of the logarithm",
    "rewritten",
    "export/ncnn/elementwise.py: power",
)

QUIRKS = (NO_BATCH, BY_SIZE, MULTIPLIED, POWER_OF_ZERO)
