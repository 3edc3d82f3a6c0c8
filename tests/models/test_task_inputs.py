"""What stands in for a user's own pictures is what the task's networks see."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from clearport.base import Task
from clearport.models import samples
from clearport.models.task_inputs import as_inputs, described
from clearport.pictures.images import load_rgb

PHOTOS = [load_rgb(path) for path in samples.calibration()[:3]]


@pytest.mark.parametrize("task", get_args(Task))
def test_the_same_inputs_every_time_and_of_the_photos_sizes(task: Task) -> None:
    first, again = as_inputs(PHOTOS, task), as_inputs(PHOTOS, task)
    assert [i.shape[:2] for i in first] == [p.shape[:2] for p in PHOTOS]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert described(task).startswith("photos that come with clearport")


def test_rain_brightens_darkness_darkens_and_photos_stay() -> None:
    means = {task: np.mean([i.mean() for i in as_inputs(PHOTOS, task)]) for task in get_args(Task)}
    assert means["low-light"] < means["super-resolution"] < means["deraining"]
    assert means["super-resolution"] == np.mean([p.mean() for p in PHOTOS])
