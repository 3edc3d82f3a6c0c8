"""Detectors of forged pictures: AUC and equal error rate by video, accuracy and calibration error.

A folder has two folders, ``real`` and ``fake`` (or ``original`` and ``manipulated``, ``0_real`` and ``1_fake``). In
each, a folder is a video and its pictures are frames; pictures beside them are videos of one frame. A video's score is
the mean probability of its frames, and intervals resample videos, as the survey of detectors recommends (2211.10881). A
detector of clips gets each frame with the following ones; at the end of a video the last frame is repeated. For a
folder of ordinary photos, synthetic forgeries are made of them, deterministically: that is no evidence for faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Size
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.models import ranking
from clearport.models.data import classes
from clearport.models.data.resize import bicubic_resize
from clearport.models.degradations.forgery import Forgery
from clearport.pictures.images import load_rgb
from clearport.pipeline.evaluation.judge import Example, Found, of_photos
from clearport.pipeline.goldens import fit
from clearport.runtime.figures import Metric
from clearport.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from clearport.base import Array
    from clearport.pictures.images import Image8
    from clearport.pipeline.evaluation.judge import Opened
    from clearport.runtime.figures import Score, Summary

_USUAL = Size(224, 224)
_SEED = 12


def _over_videos(measure: Callable[[Array, Array], float]) -> Summary:
    """A percentage, measured on the mean probability of each video and its label."""

    def summary(scores: Sequence[Score]) -> float:
        table = np.array([[score["video"], score["probability"], score["label"]] for score in scores])
        videos, places = np.unique(table[:, 0], return_inverse=True)
        counts = np.bincount(places, minlength=len(videos))
        means = [np.bincount(places, table[:, column], len(videos)) / counts for column in (1, 2)]
        return 100.0 * measure(means[0], means[1])

    return summary


def _accuracy(probabilities: Array, labels: Array) -> float:
    return float(((probabilities > 0.5) == (labels > 0.5)).mean())


class DetectionJudge:
    """See ``Judge``."""

    metrics = (
        Metric("AUC", "%", "area under the ROC curve", _over_videos(ranking.auc)),
        Metric("EER", "%", "equal error rate", _over_videos(ranking.equal_error_rate), more=False),
        Metric("accuracy", "%", "at a probability of 0.5", _over_videos(_accuracy)),
        Metric("ECE", "%", "expected calibration error, ten bins", _over_videos(ranking.calibration_error), more=False),
    )
    groups = "videos (a video's score is the mean of its frames)"

    def examples(self, folder: Path, held_back: Collection[str] | None) -> Found:
        if held_back is None and (found := classes.sides(folder)):
            return _pictures(folder, [path.name for path in found])
        return of_photos(folder, held_back, _forged, "{}, half of them with synthetic forgeries")

    def score(self, opened: Opened, given: Any, truth: Any) -> Score:
        make, (label, video) = given, truth
        source = shapes.lead(opened.artifact.inputs)
        names = [spec.name for spec in opened.artifact.inputs if spec.is_picture]
        clip, drawn = make(shapes.size_of(source) or _USUAL, len(names))
        sample = dict(zip(names, clip, strict=True))
        margin = ranking.margin(next(iter(opened.at_once(sample).values())))
        probability = float(1.0 / (1.0 + np.exp(-margin)))
        return {"probability": probability, "label": float(drawn if label is None else label), "video": float(video)}


def _pictures(folder: Path, sides: Sequence[str]) -> Found:
    frames = classes.frames(folder)
    if not frames:
        raise BadInput(
            f"{folder}: it has {', '.join(sides)} alone; expected pictures of both classes, in real/ and fake/"
        )
    videos = {name: number for number, name in enumerate(dict.fromkeys(frame.video for frame in frames))}
    made = tuple(
        Example(f.path.relative_to(folder).as_posix(), f.video, partial(_frame, f, videos[f.video])) for f in frames
    )
    return Found(made, f"{folder.resolve().name}: {counted(len(made), 'frame')} of {counted(len(videos), 'video')}")


def _frame(frame: classes.Frame, video: int) -> tuple[Any, Any]:
    return partial(_clip, frame), (frame.label, video)


def _clip(frame: classes.Frame, size: Size, count: int) -> tuple[list[Image8], int]:
    """A frame and the following ones, and the label."""
    return [_scaled(path, size) for path in classes.clip(frame.path, frame.frames, count)], frame.label


def _scaled(path: Path, size: Size) -> Image8:
    """A frame resized so that its shorter side is the network's, and center-cropped."""
    picture = load_rgb(path)
    height, width = picture.shape[:2]
    share = max(size.height / height, size.width / width)
    return fit(bicubic_resize(picture, round(height * share), round(width * share)), size)


def _forged(path: Path, number: int) -> tuple[Any, Any]:
    return partial(_synthetic, path, number), (None, number)


def _synthetic(path: Path, number: int, size: Size, count: int) -> tuple[list[Image8], int]:
    """The center of a photo, forged or not, repeated as a clip, and the label."""
    made = Forgery(0)(fit(load_rgb(path), size), np.random.default_rng([number, _SEED]))
    return [made.low] * count, int(made.truth["label"].item())


JUDGE = DetectionJudge()
