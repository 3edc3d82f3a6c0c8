"""The runtime that evaluates a file: one that takes minutes per picture only if the user names its target."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearport.base import Artifact, TensorSpec
from clearport.errors import BadInput
from clearport.pipeline.evaluation.attempt import Attempts
from clearport.pipeline.evaluation.rows import EvalRequest
from clearport.pipeline.run import usable_runner
from clearport.registry import RUNNERS
from clearport.runtime.usable import obstacle_of


@pytest.fixture(scope="module")
def slow() -> int:
    """Maximum pixels of a picture for which Core AI's runtime is used by default."""
    runner = RUNNERS.get("coreai")
    if obstacle := obstacle_of(runner):
        pytest.skip(obstacle)
    if runner.most_pixels is None:  # type: ignore[attr-defined]  # this runner has it
        pytest.skip("Core AI is fast on macOS")
    return int(runner.most_pixels)  # type: ignore[attr-defined]


def file_of(target: str, height: int | str, width: int | str) -> Artifact:
    spec = TensorSpec("image", (1, 3, height, width))
    return Artifact(target, "fp32", Path(f"net.{target}"), "0" * 64, (spec,), (spec,), {})


def judged_by(artifact: Artifact, **asked: tuple[str, ...]) -> tuple[str | None, Attempts]:
    attempts = Attempts((), EvalRequest(Path("bundle"), Path("pairs"), **asked))  # type: ignore[arg-type]  # tuples all
    found = attempts.judged(artifact, lambda runner: runner)
    return (found[0] if found else None), attempts


@pytest.mark.parametrize("sides", [(360, 640), ("H", "W")])
def test_a_slow_runtime_is_skipped_and_reported(slow: int, sides: tuple[int | str, int | str]) -> None:
    del slow
    runner, attempts = judged_by(file_of("coreai", *sides))
    assert runner is None
    (skipped,) = attempts.skipped
    assert "takes about a second for 10^9 multiply-accumulates: not run above 128x128 pixels" in skipped.reason
    assert skipped.reason.endswith("; --target coreai evaluates it nevertheless")
    assert [check.passed for check in attempts.checks] == [None]


@pytest.mark.parametrize("asked", [{"targets": ("tflite", "coreai")}, {"require": ("coreai/fp32",)}])
def test_it_judges_where_its_target_is_named(slow: int, asked: dict[str, tuple[str, ...]]) -> None:
    del slow
    assert judged_by(file_of("coreai", 360, 640), **asked)[0] == "coreai"


def test_it_judges_small_pictures(slow: int) -> None:
    assert slow == 128 * 128
    assert judged_by(file_of("coreai", 128, 128))[0] == "coreai"
    assert usable_runner(file_of("coreai", 360, 640))[0] == "coreai"  # 'run' asks for it by name


def test_fast_runtimes_judge_any_size() -> None:
    assert judged_by(file_of("onnxruntime", "H", "W"))[0] == "onnxruntime"


def test_a_file_without_a_runtime_has_no_advice() -> None:
    runner, attempts = judged_by(file_of("nobody", 8, 8))
    assert runner is None
    assert attempts.skipped[0].reason == "nobody/fp32 cannot be run here: clearport has no runner for it"
    with pytest.raises(BadInput, match="clearport has no runner for it"):
        usable_runner(file_of("nobody", 8, 8))
