"""Pythons beside this one, for runtimes that cannot live in one environment with clearport."""

from __future__ import annotations

import os
from pathlib import Path

from clearport.errors import BadInput


def named_python(variable: str, has: str) -> str | None:
    """The interpreter that an environment variable names; None where it is not set. ``has`` says what is needed of it.

    Raises:
        BadInput: the variable names no file.
    """
    named = os.environ.get(variable)
    if named and not Path(named).is_file():
        raise BadInput(f"{variable}={named}: no such file; name a Python interpreter that has {has}")
    return named or None
