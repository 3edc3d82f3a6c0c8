"""Arguments of the public Python interface, checked before work starts, as the command line checks its options."""

from __future__ import annotations

import errno
import math
import operator
import os
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import Size
from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

MOST_THREADS = 1024
"""Runtimes allocate memory for every thread: far beyond any machine's cores they crash."""

_SHOWN = 60


def path(name: str, value: Any) -> Path:
    """A path from a non-empty ``str`` or ``os.PathLike``.

    Raises:
        BadInput: it is of another type, empty (which would be the current folder), or contains a null character.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str):
        raise BadInput(f"{name}: expected a path, as a string or pathlib.Path, got {value!r}")
    if not text or "\0" in text:
        raise BadInput(f"{name}: expected a path, got {text!r}")
    try:
        os.lstat(text)
    except UnicodeError as error:
        raise BadInput(f"{name}: expected a path, got {text!r}") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise BadInput(f"{name}: {text[:_SHOWN]}…: the name is too long for this file system") from error
    return Path(value)


def path_or_none(name: str, value: Any) -> Path | None:
    """See ``path``; None stays None."""
    return None if value is None else path(name, value)


def paths(name: str, value: Any) -> tuple[str, ...]:
    """One path or several, as strings; ``NAME=FILE`` counts as one.

    Raises:
        BadInput: see ``path``.
    """
    single = isinstance(value, str | os.PathLike) or not hasattr(value, "__iter__")
    found = (value,) if single else tuple(value)
    return tuple(os.fspath(each) for each in found if path(name, each))


def text(name: str, value: Any) -> str:
    """A non-empty string.

    Raises:
        BadInput: it is of another type, or empty.
    """
    if not isinstance(value, str) or not value:
        raise BadInput(f"{name}: expected a string that is not empty, got {value!r}")
    return value


def names(name: str, value: Any) -> tuple[str, ...]:
    """Names in their order, without repetitions.

    Raises:
        BadInput: it is not a sequence of non-empty strings; a single string, whose characters would count, is none.
    """
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise BadInput(f"{name}: expected a sequence of names, as in ('a', 'b'), got {value!r}")
    return tuple(dict.fromkeys(text(f"{name}: each name", each) for each in value))


def count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number, NumPy's included.

    Raises:
        BadInput: it is no whole number (True and 3.0 are none), below ``least`` or above ``most``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise BadInput(f"{name}: expected a whole number {bounds}, got {value!r}")
    return number


def number(name: str, value: Any) -> float:
    """A finite real number, NumPy's included.

    Raises:
        BadInput: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise BadInput(f"{name}: expected a finite number, got {value!r}")
    return float(value)


def threads(value: Any) -> int:
    """A number of CPU threads.

    Raises:
        BadInput: see ``count``.
    """
    return count("threads", value, most=MOST_THREADS)


def size(value: Any) -> Size | Literal["own"] | None:
    """An input size in pixels; None is the network's own, and ``dynamic`` gives None.

    Raises:
        BadInput: it is neither ``HEIGHTxWIDTH`` nor ``dynamic``.
    """
    return "own" if value is None else Size.parse(text("size", value))


def settings(name: str, value: Mapping[str, Any] | None) -> tuple[str, ...]:
    """``NAME=VALUE`` for each setting; a scalar of NumPy counts as the Python number that it is.

    Raises:
        BadInput: it is no mapping.
    """
    if value is not None and not hasattr(value, "items"):
        raise BadInput(f"{name}: expected a dict of names and numbers, got {value!r}")
    pairs = value.items() if value is not None else ()
    return tuple(f"{key}={one.item() if hasattr(one, 'item') else one!r}" for key, one in pairs)
