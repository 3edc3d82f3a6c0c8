"""High dynamic range: PSNR after the mu-law and of linear light, on real brackets or ones made from photos.

A folder contains either scenes, each a folder with ``short``, ``medium`` and ``long`` (8-bit pictures at -2, 0 and
+2 EV) and ``hdr.hdr`` (Radiance, linear light, 1 is the clipping point of the short exposure), or ordinary photos, from
which brackets are made deterministically (``models/degradations/exposures.py``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import BadInput
from clearport.models.degradations.exposures import Exposures
from clearport.pictures import light, radiance
from clearport.pictures.images import is_picture, load_rgb
from clearport.pipeline.evaluation.judge import Example, Found, of_photos
from clearport.runtime.figures import Metric, mean_of
from clearport.words import counted

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from clearport.base import Array
    from clearport.pictures.images import Image8
    from clearport.pipeline.evaluation.judge import Opened
    from clearport.runtime.figures import Score

FRAMES = ("short", "medium", "long")
TRUTH = "hdr" + radiance.SUFFIX
_SEED = 9
_MULTIPLE = 2


class HdrJudge:
    """See ``Judge``."""

    metrics = (
        Metric("PSNR-mu", "dB", "of log(1 + 5000 light) / log(5001), light in 0..1 unrounded", mean_of("mu"), digits=3),
        Metric("PSNR-linear", "dB", "of linear light in 0..1, unrounded", mean_of("linear"), digits=3),
    )
    groups = "scenes"

    def examples(self, folder: Path, held_back: Collection[str] | None) -> Found:
        scenes = sorted(path.parent for path in folder.rglob(TRUTH)) if folder.is_dir() else []
        if scenes and held_back is None:
            made = tuple(Example(str(s.relative_to(folder)), str(s), partial(_bracket, s)) for s in scenes)
            return Found(made, f"{folder.resolve().name}: {counted(len(made), 'bracket')} with {TRUTH}")
        return of_photos(folder, held_back, _synthetic, "synthetic brackets of {}")

    def score(self, opened: Opened, given: Any, truth: Any) -> Score:
        made, wanted = light.linear(opened.in_tiles(given)), light.linear(truth)
        mu = light.psnr_db(light.mu_law(made), light.mu_law(wanted))
        return {"mu": mu, "linear": light.psnr_db(made, wanted)}


def _synthetic(path: Path, number: int) -> tuple[Image8, Array]:
    photo = load_rgb(path)
    height, width = (n // _MULTIPLE * _MULTIPLE for n in photo.shape[:2])
    made = Exposures(0)(np.ascontiguousarray(photo[:height, :width]), np.random.default_rng([number, _SEED]))
    assert made.high is not None
    return made.low, made.high


def _bracket(scene: Path) -> tuple[Image8, Array]:
    frames = [load_rgb(_frame(scene, name)) for name in FRAMES]
    truth = radiance.load(scene / TRUTH)
    sizes = {truth.shape[:2], *(frame.shape[:2] for frame in frames)}
    if len(sizes) > 1:
        told = " and ".join("x".join(map(str, size)) for size in sorted(sizes))
        raise BadInput(f"{scene}: its three frames and {TRUTH} must have the same size, got {told} pixels")
    return np.concatenate(frames, axis=2), light.encoded(truth)


def _frame(scene: Path, name: str) -> Path:
    found = [path for path in sorted(scene.iterdir()) if path.stem.lower() == name and is_picture(path)]
    if len(found) != 1:
        raise BadInput(f"{scene}: expected one picture called {name} beside {TRUTH}, found {len(found)}")
    return found[0]


JUDGE = HdrJudge()
