"""Errors, shown to the user without a traceback; for unexpected ones see ``problems.py``::

ClearportError            exit code 1: something that was checked is wrong
├── CheckFailed           a parity, quality or checksum check did not hold
├── RuntimeFailure        a runtime crashed, hung or refused a file (raised from its subprocess)
└── BadInput              exit code 2: the user gave something that cannot be used
    ├── UnsupportedOperator   an operator without a conversion rule for the target
    └── NotInstalled          an optional package is missing; the message is its install line
"""

from __future__ import annotations

import math


class ClearportError(Exception):
    """Base of every error that the user sees as a message; ``exit_code`` is what the shell gets."""

    exit_code = 1


class CheckFailed(ClearportError):
    """A parity, quality or checksum check did not hold."""


class RuntimeFailure(ClearportError):
    """A runtime crashed, hung or refused a file in its subprocess."""


class BadInput(ClearportError):
    """The user's input cannot be used; the message says what it is, what was expected, and what to do."""

    exit_code = 2


class NoSize(BadInput):
    """A network of dynamic size accepts none of the tried sizes."""


class UnsupportedOperator(BadInput):
    """A target has no conversion rule for an operator, or not for this use of it."""

    def __init__(self, target: str, op: str, layer: str, why: str = "no conversion rule") -> None:
        super().__init__(f"{target}: unsupported operator {op} of layer {layer!r}: {why}")
        self.target, self.op, self.layer = target, op, layer


class NotInstalled(BadInput):
    """An optional package is missing."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; to add it: pip install 'clearport[{extra}]'")
        self.package, self.extra = package, extra


def check_finite(option: str, value: float, least: float = 0.0) -> None:
    """Refuse a duration or amount that is NaN, infinite or below ``least``; ``option`` names it in the message.

    Raises:
        BadInput: it is one of these.
    """
    if not math.isfinite(value) or value < least:
        raise BadInput(f"{option} {value:g}: expected a finite number of at least {least:g}")
