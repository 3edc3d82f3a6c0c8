"""Evaluation of detectors: videos of frames, and photos with synthetic forgeries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clearport.base import TensorSpec
from clearport.errors import BadInput
from clearport.pictures.images import save_png
from clearport.pipeline.evaluation.tasks.deepfake_detection import JUDGE
from clearport.runtime.figures import figures


class Bright:
    """A detector that classifies bright pictures as fake, with the part of ``Opened`` that the judge uses."""

    def __init__(self, *names: str) -> None:
        self.artifact = SimpleNamespace(inputs=tuple(TensorSpec(name, (1, 3, 32, 32)) for name in names or ["image"]))

    def at_once(self, sample: dict[str, Any]) -> dict[str, Any]:
        assert list(sample) == [spec.name for spec in self.artifact.inputs]
        assert all(picture.shape == (32, 32, 3) for picture in sample.values())
        return {"logits": np.array([[0.0, (float(list(sample.values())[-1].mean()) - 128.0) / 64.0]])}


def video(folder: Path, *levels: int) -> None:
    folder.mkdir(parents=True)
    for number, level in enumerate(levels):
        save_png(folder / f"{number}.png", np.full((40, 60, 3), level, np.uint8))


def test_frames_of_a_video_are_averaged_and_a_picture_is_a_video(tmp_path: Path) -> None:
    video(tmp_path / "real" / "a", 10, 200, 40)
    video(tmp_path / "real" / "b", 50)
    video(tmp_path / "fake" / "c", 240, 60, 240)
    video(tmp_path / "fake" / "d", 90, 90)
    save_png(tmp_path / "fake" / "single.png", np.full((40, 40, 3), 250, np.uint8))
    found = JUDGE.examples(tmp_path, None)
    assert found.line.endswith("10 frames of 5 videos")
    scores = [JUDGE.score(Bright(), *example.load()) for example in found.examples]  # type: ignore[arg-type]  # a detector
    groups = [example.group for example in found.examples]
    assert len(set(groups)) == 5
    values = {f.metric: f.value for f in figures(JUDGE.metrics, scores, groups, None, 0.95)}
    assert values["AUC"] == pytest.approx(100 * 5 / 6), "video a is taken for a fake before d"
    assert values["accuracy"] == pytest.approx(80.0)


def test_a_detector_of_clips_gets_a_frame_with_those_behind_it(tmp_path: Path) -> None:
    video(tmp_path / "real" / "a", 10, 20, 30)
    video(tmp_path / "fake" / "b", 200)
    examples = JUDGE.examples(tmp_path, None).examples
    scores = [JUDGE.score(Bright("first", "second"), *example.load()) for example in examples]  # type: ignore[arg-type]  # a detector
    levels = [128 + 64 * np.log(s["probability"] / (1 - s["probability"])) for s in scores]
    assert levels == pytest.approx([200, 20, 30, 30]) or levels == pytest.approx([20, 30, 30, 200])


def test_photos_are_forged_here_and_the_same_ones_every_time(tmp_path: Path) -> None:
    for number in range(6):
        video(tmp_path / str(number), 40 * number)
    first, again = JUDGE.examples(tmp_path, None), JUDGE.examples(tmp_path, None)
    assert first.line.endswith("6 photos, half of them with synthetic forgeries")
    one, other = ([JUDGE.score(Bright(), *e.load()) for e in found.examples] for found in (first, again))  # type: ignore[arg-type]  # as above
    assert one == other
    assert {score["label"] for score in one} == {0.0, 1.0}


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "real" / "a", 10)
    with pytest.raises(BadInput, match="it has real alone; expected pictures of both classes"):
        JUDGE.examples(tmp_path, None)
