"""Teachers: a student nears them, and each is asked about its own degradation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.training.outputs import Restored
from clearport.models.training.teachers import Teachers
from clearport.models.training.train import Progress, TrainOptions, train
from clearport.registry import NETWORKS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_student_nears_its_teachers_without_any_target(options: TrainOptions, tmp_path: Path) -> None:
    torch.manual_seed(5)
    teacher = NETWORKS.get("mobilederain").build(1)
    with torch.no_grad():
        teacher.tail.bias += 30.0  # takes 30 levels away everywhere
    weights.save(tmp_path / "teacher.safetensors", teacher, "mobilederain", 1, {})
    seen: list[Progress] = []
    student = replace(
        options,
        degradation="unpaired",
        loss="distillation",
        teachers=(f"mobilederain={tmp_path / 'teacher.safetensors'}",),
        steps=60,
        validate_every=20,
        lr=5e-3,
    )
    result = train(student, seen.append)
    assert seen[-1].loss < 0.5 * seen[0].loss
    assert math.isnan(result.best_psnr_db)
    assert result.weights.is_file()
    card = json.loads(weights.card_path(result.weights).read_text())
    assert card["quality"]["validation"]["rgb_psnr_db"] is None
    assert card["training"]["teachers"] == ["mobilederain"]


def test_a_teacher_of_one_degradation_is_asked_about_that_alone(tmp_path: Path) -> None:
    from clearport.models.data.crops import Batch

    path = tmp_path / "teacher.safetensors"
    weights.save(path, NETWORKS.get("mobilederain").build(1), "mobilederain", 1, {})
    teachers = Teachers([f"mobilederain={path}@haze"], ("camera", "haze"), 1, torch.device("cpu"))
    low = torch.rand(2, 3, 8, 8) * 255
    with torch.no_grad():
        shown = teachers.teachers[0].network(low)
    off = shown + torch.tensor([51.0, 0.0]).view(2, 1, 1, 1)  # wrong on the first picture
    hazy_first, hazy_second = (Batch(low, None, kinds=torch.tensor(kinds)) for kinds in ([1, 0], [0, 1]))
    assert float(teachers(Restored(off), hazy_first, 255.0)) == pytest.approx(0.2, abs=1e-5)
    assert float(teachers(Restored(off), hazy_second, 255.0)) == pytest.approx(0.0, abs=1e-6)


def test_bad_teachers(options: TrainOptions) -> None:
    for teachers, complaint in (
        ((), "--teacher NETWORK=WEIGHTS"),
        (("mobilederain",), "expected NETWORK=WEIGHTS"),
        (("nonet=x",), "unknown network"),
        (("ncnet=x",), "does not support the student.s scale 1"),
        (("mobilederain=x@camera",), "'camera' is not in --degradation, which has: haze"),
        (("mobilederain=none.safetensors",), "none at this path"),
    ):
        with pytest.raises(BadInput, match=complaint):
            train(replace(options, loss="distillation", teachers=teachers))
