"""Recorded outputs are compared only under identical conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from clearport.bundle.replays import contradicts, replay_of
from clearport.registry import RUNNERS

OUTPUT = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
RUNNER = RUNNERS.get("onnxruntime")


def test_the_same_conditions_must_give_the_same_bits() -> None:
    kept = replay_of({"restored": OUTPUT}, "photo", RUNNER, 1)
    other = OUTPUT.copy()
    other[0, 1, 1, 2] += 1
    assert kept is not None
    assert not contradicts(replay_of({"restored": OUTPUT}, "photo", RUNNER, 1), [kept])
    assert contradicts(replay_of({"restored": other}, "photo", RUNNER, 1), [kept])


@pytest.mark.parametrize(
    "change",
    [
        {"golden": "probe"},
        {"runner": "openvino"},
        {"versions": {"onnxruntime": "1.0"}},
        {"processor": "another"},
        {"threads": 2},
    ],
    ids=str,
)
def test_other_conditions_say_nothing(change: dict[str, object]) -> None:
    kept = replay_of({"restored": OUTPUT}, "photo", RUNNER, 1)
    assert kept is not None
    assert not contradicts(replay_of({"restored": OUTPUT + 1}, "photo", RUNNER, 1), [kept.model_copy(update=change)])
    assert {"onnxruntime", "clearport", "numpy"} <= set(kept.versions)


def test_a_runtime_in_a_python_of_its_own_has_no_versions_to_go_by() -> None:
    @dataclass(frozen=True)
    class Elsewhere:
        name: str = "elsewhere"
        requires: tuple[str, ...] = ()

        def interpreter(self) -> str:
            return "/somewhere/python"

    assert replay_of({"restored": OUTPUT}, "photo", Elsewhere(), 1) is None  # type: ignore[arg-type]
    assert not contradicts(None, [])
