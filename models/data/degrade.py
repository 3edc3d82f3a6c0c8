"""Degradations by name, which make network inputs from clean photos, each in ``models/degradations/<name>.py``.

Such a file defines ``DEGRADER``, which is called with a seed and returns a ``Degrader``. If its output is smaller than
the photo, ``DEGRADER`` has a true attribute ``reduces`` and is called with a seed and a scale. Some names do not
degrade and have no file: ``pairs`` (existing inputs and targets), ``unpaired`` (inputs without targets), ``labels``
(pictures with a class) and ``domains`` (inputs, and targets of other content).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from clearport.base import Float32
    from clearport.pictures.images import Image8

PAIRS, UNPAIRED, LABELS, DOMAINS = "pairs", "unpaired", "labels", "domains"
MADE = frozenset({PAIRS, UNPAIRED, LABELS, DOMAINS})
"""Names that use pictures without degradation."""

DEGRADATIONS = Registry("clearport.models.degradations", "*.py", "DEGRADER", "degradation")

_LONG_NAMES = {"light": "low-light"}


@dataclass(frozen=True)
class Degraded:
    """A degraded photo (H, W, 3).

    Attributes:
        low: the network's input, uint8 RGB (H, W, 3), or (H/scale, W/scale, 3); several pictures are concatenated along
            the channels.
        truth: parameters of the degradation by name, float32: ``rain`` (H, W, 3) in 8-bit levels, ``rain_mask``
            (H, W, 1) 0 or 1, ``transmission`` (H, W, 1) in 0..1, ``light`` (1, 1, 3) in 8-bit levels.
        high: the target, float32 (H, W, C) in the network's range, if it is not the photo.
    """

    low: Image8
    truth: Mapping[str, Float32] = field(default_factory=dict)
    high: Float32 | None = None


Degrader = Callable[["Image8", "np.random.Generator"], Degraded]
"""Degrades one photo, uint8 RGB (H, W, 3); deterministic for a state of the generator."""


def names() -> tuple[str, ...]:
    """Every name that ``parse`` accepts, sorted."""
    made = (_LONG_NAMES.get(name, name) for name in DEGRADATIONS.names())
    return tuple(sorted((*made, *MADE)))


def parse(text: str) -> tuple[str, ...]:
    """``"rain"`` or, for a mix of several, ``"camera + haze"``; ``"pairs + rain"`` also degrades the targets of pairs.

    Raises:
        BadInput: a name is unknown, ``unpaired`` is mixed with others, or ``pairs`` is not the first of a mix.
    """
    found = tuple(part.strip() for part in text.split("+"))
    for name in found:
        if name not in names():
            raise BadInput(f"unknown degradation {name!r} (available: {', '.join(names())}; a mix is written a + b)")
    alone = MADE - {PAIRS}
    if (len(found) > 1 and alone & set(found)) or (PAIRS in found and found[0] != PAIRS):
        raise BadInput(
            f"--degradation {text!r}: {', '.join(sorted(alone))} cannot be mixed with others, and {PAIRS} comes first"
        )
    return found


def degrader(name: str, seed: int, scale: int) -> Degrader:
    """The degradation ``name``, with its banks drawn from ``seed``.

    Raises:
        BadInput: it keeps the size of a picture, and ``scale`` is not 1.
    """
    short = {long: short for short, long in _LONG_NAMES.items()}
    factory = DEGRADATIONS.get(short.get(name, name))
    if getattr(factory, "reduces", False):
        reducing: Degrader = factory(seed, scale)
        return reducing
    if scale != 1:
        raise BadInput(f"--degradation {name} keeps the size of a picture, and this network enlarges it x{scale}")
    keeping: Degrader = factory(seed)
    return keeping
