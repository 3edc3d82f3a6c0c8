"""Default pictures in place of the user's are degraded like the task's inputs."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from clearport.base import Size, Task
from clearport.models import samples, weights
from clearport.models.task_inputs import as_inputs, described, extended
from clearport.pictures.images import load_rgb
from clearport.registry import NETWORKS

PHOTOS = [load_rgb(path) for path in samples.calibration()[:3]]


@pytest.mark.parametrize("task", get_args(Task))
def test_the_same_inputs_every_time_and_of_the_photos_sizes(task: Task) -> None:
    first, again = as_inputs(PHOTOS, task), as_inputs(PHOTOS, task)
    assert [i.shape[:2] for i in first] == [p.shape[:2] for p in PHOTOS]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert described(task).startswith("photos bundled with clearport")


def test_rain_brightens_darkness_darkens_and_photos_stay() -> None:
    means = {task: np.mean([i.mean() for i in as_inputs(PHOTOS, task)]) for task in get_args(Task)}
    assert means["low-light"] < means["super-resolution"] < means["deraining"]
    assert means["super-resolution"] == np.mean([p.mean() for p in PHOTOS])


def test_marks_are_read_of_photos_that_were_too_small() -> None:
    """A photo that is extended after it was marked gives hardly anything to calibrate a reader on."""
    size = Size(368, 640)
    (large,) = as_inputs(PHOTOS[:1], "watermarking", size)
    (small,) = as_inputs(PHOTOS[:1], "watermarking")
    assert small.shape[1] < size.width == large.shape[1]
    reader = weights.load(NETWORKS.get("wmread"), 1).module
    strengths = []
    for picture in (large, extended(small, size)):
        crop = torch.from_numpy(picture[: size.height, : size.width].copy()).permute(2, 0, 1)[None] / 255.0
        with torch.inference_mode():
            strengths.append(float(reader(crop).abs().mean()))
    assert strengths[0] > 3 * strengths[1]


def test_other_photos_keep_their_size() -> None:
    assert all(
        np.array_equal(a, b)
        for a, b in zip(as_inputs(PHOTOS, "deraining", Size(400, 400)), as_inputs(PHOTOS, "deraining"), strict=True)
    )
