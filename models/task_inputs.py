"""Photos degraded like a task's inputs, as default calibration and golden pictures.

Ranges calibrated on clean photos are wrong for inputs with rain or in low light. Each picture has its own random, but
reproducible, degradation.
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
    "deraining": ("degradations.rain", {"layers": 4, "side": 672}),  # larger than the bundled photos
    "low-light": ("degradations.light", {}),
    "hdr": ("degradations.exposures", {}),
    "watermarking": ("marked", {}),
}
"""Task -> module of ``models`` and arguments of its degrader; other tasks use photos without degradation."""


SEVERAL: frozenset[Task] = frozenset({"hdr"})
"""Tasks with several input pictures, which are also made from the user's photos."""


_WHOLE: frozenset[Task] = frozenset({"watermarking"})
"""Tasks whose degradation must not be extended by mirroring: a mirrored mark cannot be read."""


def extended(photo: Image8, size: Size) -> Image8:
    """A photo (H, W, C) extended to at least ``size`` by symmetric padding on both sides."""
    lacking = [max(0, want - have) for want, have in zip((size.height, size.width), photo.shape[:2], strict=True)]
    return np.pad(photo, (*((n // 2, n - n // 2) for n in lacking), (0, 0)), mode="symmetric")


def as_inputs(photos: Sequence[Image8], task: Task, size: Size | None = None) -> list[Image8]:
    """Each photo, uint8 RGB (H, W, 3), degraded for the task; several pictures are concatenated along the channels. If
    mirroring would spoil the degradation, photos are first extended to ``size``.
    """
    if size is not None and task in _WHOLE:
        photos = [extended(photo, size) for photo in photos]
    if task not in _DEGRADATIONS:
        return list(photos)
    degrade = _degrader(task)
    return [degrade(photo, np.random.default_rng([number, 11])).low for number, photo in enumerate(photos)]


def described(task: Task) -> str:
    """A description of ``as_inputs`` of the bundled photos, for a bundle's record."""
    made = {
        "deraining": ", in synthetic rain",
        "low-light": ", darkened",
        "hdr": ", as synthetic brackets of three exposures",
        "watermarking": ", marked by the bundled embedder",
    }.get(task, "")
    return f"photos bundled with clearport{made}"


@cache
def _degrader(task: Task) -> Callable[..., Any]:
    name, options = _DEGRADATIONS[task]
    degrader: Callable[..., Any] = importlib.import_module(f"clearport.models.{name}").DEGRADER(0, **options)
    return degrader
