"""Photos as a network of a task would see them: for calibration and golden pictures when the user gives none.

Ranges that were calibrated on clean photos are wrong for a network that sees rain or darkness. A degradation of its own
is drawn for each picture, the same one every time.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Size, Task
    from clearport.pictures.images import Image8

_DEGRADATIONS: dict[Task, tuple[str, dict[str, Any]]] = {
    "deraining": ("degradations.rain", {"layers": 4, "side": 672}),  # larger than the photos that come with clearport
    "low-light": ("degradations.light", {}),
    "hdr": ("degradations.exposures", {}),
    "watermarking": ("marked", {}),
}
"""Module of ``models`` and how its degrader is made; a task that is not here takes photos as they are."""


SEVERAL: frozenset[Task] = frozenset({"hdr"})
"""Tasks whose networks take several pictures: of a user's photos, too, they are made."""


_WHOLE: frozenset[Task] = frozenset({"watermarking"})
"""Tasks whose degradation is one over the whole picture: in a reflection a mark is turned, and cannot be read."""


def extended(photo: Image8, size: Size) -> Image8:
    """A photo (H, W, C) that is no smaller than ``size``, by reflection on both sides."""
    lacking = [max(0, want - have) for want, have in zip((size.height, size.width), photo.shape[:2], strict=True)]
    return np.pad(photo, (*((n // 2, n - n // 2) for n in lacking), (0, 0)), mode="symmetric")


def as_inputs(photos: Sequence[Image8], task: Task, size: Size | None = None) -> list[Image8]:
    """Each photo, uint8 RGB (H, W, 3), degraded as the task has it; several pictures lie one behind another in the
    channels. Where a reflection would spoil the degradation, photos are no smaller than ``size``.
    """
    if size is not None and task in _WHOLE:
        photos = [extended(photo, size) for photo in photos]
    if task not in _DEGRADATIONS:
        return list(photos)
    degrade = _degrader(task)
    return [degrade(photo, np.random.default_rng([number, 11])).low for number, photo in enumerate(photos)]


def described(task: Task) -> str:
    """What ``as_inputs`` makes of the photos that come with clearport, for a bundle's record."""
    made = {
        "deraining": ", in synthetic rain",
        "low-light": ", darkened",
        "hdr": ", as synthetic brackets of three exposures",
        "watermarking": ", marked by the bundled embedder",
    }.get(task, "")
    return f"photos that come with clearport{made}"


@cache
def _degrader(task: Task) -> Callable[..., Any]:
    name, options = _DEGRADATIONS[task]
    degrader: Callable[..., Any] = importlib.import_module(f"clearport.models.{name}").DEGRADER(0, **options)
    return degrader
