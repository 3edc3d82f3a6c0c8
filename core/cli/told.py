"""Contract of the user's own network, from command-line options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clearport.cli.options import split
from clearport.errors import BadInput
from clearport.pipeline.sources.contract import Contract, Ends

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"\s*(-?[\d.]+?)\s*\.\.\s*(-?[\d.]+)\s*")


def told(task: str, color: str, span: str, mean: str, std: str) -> Contract:
    """The contract of the options, for the input picture; ``span`` applies to input and output.

    Raises:
        BadInput: an option is malformed.
    """
    both: Mapping[str, Any] = {"range": _range(span)} if span else {}
    numbers: Mapping[str, Any] = {
        key: _numbers(f"--{key}", given) for key, given in (("mean", mean), ("std", std)) if given
    }
    taken: Mapping[str, Any] = {**both, **numbers, **({"color": color.upper()} if color else {})}
    try:
        return Contract(
            task=task or None,  # type: ignore[arg-type]  # pydantic looks
            inputs=(Ends(name="", **taken),) if taken else (),
            outputs=(Ends(name="", **both),) if both else (),
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = next(part for part in reversed(first["loc"]) if isinstance(part, str))  # after it: a channel's number
        raise BadInput(f"--{option}: {first['msg']}") from error


def _range(text: str) -> tuple[float, float]:
    match = _RANGE.fullmatch(text)
    try:
        found = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    except ValueError:
        found = (0.0, 0.0)
    if not found[0] < found[1]:
        raise BadInput(f"--range {text!r}: expected two ascending numbers, as in 0..255 or -1..1")
    return found


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in split(text))
    except ValueError as error:
        raise BadInput(f"{option} {text!r}: expected comma-separated numbers, one per channel") from error
