"""The lookup of a Python with TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clearport.errors import BadInput
from clearport.runtime.runners import tensorflow as run_tensorflow


def test_the_variable_names_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(run_tensorflow.VARIABLE, sys.executable)
    assert run_tensorflow.interpreter() == sys.executable


def test_a_variable_that_names_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(run_tensorflow.VARIABLE, str(tmp_path / "python"))
    with pytest.raises(BadInput, match=r"CLEARPORT_TENSORFLOW_PYTHON=.*: no such file"):
        run_tensorflow.interpreter()


@pytest.mark.parametrize(("absent", "expected"), [((), sys.executable), (run_tensorflow.DISTRIBUTIONS, None)])
def test_without_the_variable_it_is_this_one_if_it_can(
    absent: tuple[str, ...], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(run_tensorflow.VARIABLE, raising=False)
    monkeypatch.setattr(run_tensorflow, "missing", lambda names: tuple(n for n in names if n in absent))
    assert run_tensorflow.interpreter() == expected


def test_looking_for_tensorflow_does_not_import_it() -> None:
    code = "import sys; from clearport.runtime.runners import tensorflow; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert run_tensorflow.RUNNER.requires[0].startswith("tensorflow")
