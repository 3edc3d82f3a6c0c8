"""Knobs of networks: numbers fixed at export, stored in the metadata of weights files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

_PREFIX = "knob."


def parse(spec: ModelSpec, words: Sequence[str]) -> dict[str, float]:
    """``["dehaze=0.5"]`` -> ``{"dehaze": 0.5}``.

    Raises:
        BadInput: the network has no such knob, or its number is missing or out of range.
    """
    values: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        if name not in spec.knobs:
            known = ", ".join(f"{key} ({knob.about})" for key, knob in spec.knobs.items()) or "none"
            raise BadInput(f"--knob {word}: {spec.name} has no knob {name!r} (it has: {known})")
        values[name] = _checked(spec, name, number)
    return values


def _checked(spec: ModelSpec, name: str, number: str) -> float:
    knob = spec.knobs[name]
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not knob.low <= value <= knob.high:
        raise BadInput(f"--knob {name}={number}: expected a number from {knob.low:g} to {knob.high:g} ({knob.about})")
    return value


def turn(module: nn.Module, spec: ModelSpec, values: Mapping[str, float]) -> None:
    """Set the knobs of a network; others keep their values."""
    for name, value in values.items():
        if name not in spec.knobs:
            raise BadInput(f"{spec.name} has no knob {name!r}")
        setattr(module, name, value)


def to_metadata(values: Mapping[str, float]) -> dict[str, str]:
    """Knobs as string metadata of a weights file."""
    return {f"{_PREFIX}{name}": repr(value) for name, value in values.items()}


def from_metadata(spec: ModelSpec, metadata: Mapping[str, str]) -> dict[str, float]:
    """The knobs written by ``to_metadata``."""
    return {
        key.removeprefix(_PREFIX): _checked(spec, key.removeprefix(_PREFIX), number)
        for key, number in metadata.items()
        if key.startswith(_PREFIX) and key.removeprefix(_PREFIX) in spec.knobs
    }
