"""Degradations by name: how a clean photo becomes the input of a network, each in ``models/degrade_<name>.py``.

Such a file defines ``DEGRADER``, which is called with a seed and gives a ``Degrader``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from clearport.base import Float32
    from clearport.images import Image8


@dataclass(frozen=True)
class Degraded:
    """What a degradation made of a photo (H, W, 3).

    Attributes:
        low: what the network sees, uint8 RGB (H, W, 3).
        truth: what went into it, by name, float32: ``rain`` (H, W, 3) in 8-bit levels, ``rain_mask`` (H, W, 1) 0 or 1,
            ``transmission`` (H, W, 1) in 0..1, ``light`` (1, 1, 3) in 8-bit levels.
    """

    low: Image8
    truth: Mapping[str, Float32] = field(default_factory=dict)


Degrader = Callable[["Image8", "np.random.Generator"], Degraded]
"""Degrades one photo, uint8 RGB (H, W, 3); the same state of the generator gives the same result."""
