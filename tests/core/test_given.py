"""Arguments of the Python interface are refused in words before any work, and NumPy's numbers count as numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearport
from clearport import given
from clearport.errors import BadInput

Call = Callable[..., Any]
WRONG: tuple[tuple[str, Call], ...] = (
    ("out", lambda place: clearport.export("ncnet", "")),
    ("out", lambda place: clearport.export("ncnet", None)),  # type: ignore[arg-type]
    ("scale", lambda place: clearport.export("ncnet", place, scale=3.0)),  # type: ignore[arg-type]
    ("scale", lambda place: clearport.export("ncnet", place, scale=True)),
    ("threads", lambda place: clearport.export("ncnet", place, threads=0)),
    ("threads", lambda place: clearport.export("ncnet", place, threads=10**9)),
    ("threads", lambda place: clearport.verify(place, threads=0)),
    ("targets", lambda place: clearport.export("ncnet", place, targets="tflite")),
    ("targets", lambda place: clearport.export("ncnet", place, targets=[""])),
    ("size", lambda place: clearport.export("ncnet", place, size=(32, 32))),  # type: ignore[arg-type]
    ("knobs", lambda place: clearport.export("ncnet", place, knobs=["a"])),  # type: ignore[arg-type]
    ("weights", lambda place: clearport.export("ncnet", place, weights="")),
    ("calibration", lambda place: clearport.export("ncnet", place, calibration="")),
    ("folder", lambda place: clearport.load_bundle("")),
    ("folder", lambda place: clearport.load_bundle("a\0b")),
    ("folder", lambda place: clearport.verify("a" * 5000)),
    ("seconds", lambda place: clearport.bench(place, seconds="x")),  # type: ignore[arg-type]
    ("max_drop", lambda place: clearport.evaluate(place, place, max_drop="x")),  # type: ignore[arg-type]
    ("output", lambda place: clearport.restore(place, "p.png", "")),
    ("out", lambda place: clearport.kit(place, "", "python")),
    ("store", lambda place: clearport.push(place, "")),
    ("address", lambda place: clearport.pull("", place)),
    ("options", lambda place: clearport.train({})),  # type: ignore[arg-type]
    ("name", lambda place: clearport.export_system("", place)),
    ("folder", lambda place: clearport.run_system("", "p.png")),
)


@pytest.mark.parametrize(("name", "call"), WRONG)
def test_an_argument_that_cannot_be_meant_is_refused_with_its_name(name: str, call: Call, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=name):
        call(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_and_repeated_names_are_taken() -> None:
    assert given.count("scale", np.int64(3)) == 3
    assert type(given.threads(np.int32(2))) is int
    assert given.names("targets", ["tflite", "tflite"]) == ("tflite",)
    assert given.settings("knobs", {"dehaze": np.float32(0.5)}) == ("dehaze=0.5",)
    assert given.paths("store", "s3://bucket/place") == ("s3://bucket/place",)
