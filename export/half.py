"""Which constants a file may store in half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.operators import table

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array


def fits_half(array: Array) -> bool:
    """Whether rounding to float16 costs no more than its 11-bit mantissa; false on overflow or when most values are
    subnormal, as FMEN's weights of 1e-6 are (26 dB).
    """
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        error = wide - array.astype(np.float16)
    return bool(np.linalg.norm(error) <= 2.0**-11 * np.linalg.norm(wide))


def weighs(node: ir.Node) -> bool:
    """Whether a node's constants are weights, which may be rounded to float16.

    Constant operands of arithmetic are small, and may be coordinates: a relative error of 0.0005 at 64 pixels shifts
    samples.
    """
    return table.of(node).kind != "binary"
