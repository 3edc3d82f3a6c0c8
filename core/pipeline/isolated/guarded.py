"""Converts failures of a quantizer to reasons, since float files do not depend on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport import problems
from clearport.base import Skipped
from clearport.errors import ClearportError, RuntimeFailure, UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clearport.base import Precision
    from clearport.quantized import QuantizedGraph


def forms_of(
    rounded: Iterable[Precision], makers: Mapping[Precision, Callable[[], QuantizedGraph]]
) -> dict[Precision, QuantizedGraph | Skipped]:
    """The quantized graph of each precision, or the reason of its absence.

    Raises:
        ClearportError: the user's input is invalid, which concerns every file.
    """
    return {precision: _guarded(precision, makers[precision]) for precision in rounded}


def _guarded(precision: Precision, work: Callable[[], QuantizedGraph]) -> QuantizedGraph | Skipped:
    """The quantized graph that ``work`` returns, or the reason of its absence.

    Raises:
        ClearportError: the user's input is invalid, which concerns every file.
    """
    try:
        return work()
    except (UnsupportedOperator, RuntimeFailure) as error:
        return Skipped(precision, str(error))
    except ClearportError:
        raise
    except problems.UNEXPECTED as error:
        return Skipped(precision, problems.told(error, f"quantizing for {precision}"))
