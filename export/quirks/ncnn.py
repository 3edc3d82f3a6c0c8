"""Deviations of ncnn from ONNX (see ``table.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.export.passes import signs
from clearport.export.quirks.table import Quirk
from clearport.graph import nodes as graphs
from clearport.operators.binary import POW
from clearport.operators.choices import COMPARISONS, EQUAL
from clearport.operators.convolution import CONV
from clearport.operators.resize import RESIZE
from clearport.operators.unary import LOG

if TYPE_CHECKING:
    import onnx_ir as ir

_SEEN = "ncnn 1.0.20261020"
_LARGEST = 3e38
"""A comparison with a larger constant tests for infinity: the largest float32 is 3.4e38."""


def _with_itself(node: ir.Node) -> bool:
    return node.inputs[0] is node.inputs[1]


def _with_infinity(node: ir.Node) -> bool:
    held = [array for value in node.inputs if (array := graphs.constant(value)) is not None]
    return any(array.dtype.kind == "f" and bool((np.abs(array) > _LARGEST).any()) for array in held)


def _of_negative(node: ir.Node) -> bool:
    """Whether a power may have a negative base with a finite result in ONNX (integer exponent)."""
    base, exponent = (graphs.need(node, index) for index in (0, 1))
    held = graphs.constant(exponent)
    whole = held is None or bool((held == np.rint(held)).any())
    number = graphs.constant(base)
    if (number is not None and (number <= 0).any()) or (held is not None and not held.all()):
        return True
    return whole and not signs.never_negative(base)


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
POWER_OF_NEGATIVE = Quirk(
    "power of what is negative",
    _SEEN,
    POW.name,
    "a base that may be negative (no Relu, Abs or Clip before it) to a whole or computed exponent, or a constant base "
    "of at most 0, or the exponent 0",
    "powers by way of the logarithm, which such numbers have not: 2.4e38 for (-2) ** 2",
    "refused",
    "export/ncnn/rules.py: write",
    _of_negative,
)
LOGARITHM_OF_ZERO = Quirk(
    "logarithm of zero",
    _SEEN,
    LOG.name,
    "of zero",
    "NaN instead of minus infinity, so that no clamp behind it and no choice mends it",
    "rewritten",
    "export/ncnn/elementwise.py: logarithm",
)
NOT_A_NUMBER = Quirk(
    "NaN, asked for",
    _SEEN,
    EQUAL.name,
    "a value compared with itself, as IsNaN is",
    "true for NaN, too: its clamps turn that into a number",
    "refused",
    "export/ncnn/rules.py: write",
    _with_itself,
)
INFINITIES = tuple(
    Quirk(
        f"infinity, by {name}",
        _SEEN,
        name,
        "a comparison with infinity or the largest numbers, as IsInf is",
        "NaN or 2.4e38 where others have infinity: 1 / 0, the logarithm of 0, the exponential of 100",
        "refused",
        "export/ncnn/rules.py: write",
        _with_infinity,
    )
    for name in (record.name for record in COMPARISONS)
)

QUIRKS = (
    NO_BATCH,
    BY_SIZE,
    MULTIPLIED,
    POWER_OF_ZERO,
    POWER_OF_NEGATIVE,
    LOGARITHM_OF_ZERO,
    NOT_A_NUMBER,
    *INFINITIES,
)
