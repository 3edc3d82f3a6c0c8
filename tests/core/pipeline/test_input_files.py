"""Input files: assignment to inputs, and arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearport.base import Artifact, TensorSpec
from clearport.errors import BadInput
from clearport.pipeline.files.inputs import assigned, taken

ARTIFACT = Artifact(
    "tflite",
    "fp32",
    Path(),
    "",
    (TensorSpec("a", (1, 2), kind="vector", value_range=None), TensorSpec("b", (1, 2), kind="vector")),
    (),
    {},
)


def test_files_go_by_name_or_in_order_and_a_name_that_no_input_has_is_part_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c=y.npy").touch()
    assert assigned(ARTIFACT, ["b=x.npy", "c=y.npy"]) == {"b": Path("x.npy"), "a": Path("c=y.npy")}
    with pytest.raises(BadInput, match=r"tflite/fp32 has 2 inputs \(a, b\), 3 were given"):
        assigned(ARTIFACT, ["x.npy", "y.npy", "z.npy"])
    with pytest.raises(BadInput, match=r"input 'a' is given twice: x.npy and y.npy"):
        assigned(ARTIFACT, ["x.npy", "a=y.npy"])
    with pytest.raises(BadInput, match=r"picture=x.npy: no such file, and no input is called 'picture': there is a, b"):
        assigned(ARTIFACT, ["picture=x.npy"])
    with pytest.raises(BadInput, match=r"a=: no file is named"):
        assigned(ARTIFACT, ["a="])


def test_files_that_are_not_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((1, 2), np.float32))
    assert taken(ARTIFACT, {"a": path, "b": path}).sample["b"].shape == (1, 2)
    np.savez(tmp_path / "a.npz", np.zeros(2))
    (tmp_path / "a.npz").rename(path)
    with pytest.raises(BadInput, match=r"a\.npy: expected one array .*got an archive"):
        taken(ARTIFACT, {"a": path, "b": path})
    path.write_bytes(b"no array")
    with pytest.raises(BadInput, match=r"a\.npy: not a readable array"):
        taken(ARTIFACT, {"a": path, "b": path})
