"""Unexpected exceptions: one row or one message each, and a log with the traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from clearport import problems
from clearport.base import Artifact, Options, Precision, Skipped, TensorSpec
from clearport.errors import BadInput, UnsupportedOperator
from clearport.pipeline import lower as pipeline_lower
from clearport.pipeline.criteria import PHOTO, References
from clearport.pipeline.plan import Cell
from clearport.pipeline.prove import prove
from clearport.runtime.parity import ParityReport, Reference


class Unprintable(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("it has no words")


def endless(depth: int) -> int:
    return endless(depth + 1)


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def act() -> NoReturn:
        raise error

    return act


ACTIONS: dict[str, Callable[[], Any]] = {
    "IndexError": lambda: list[int]().pop(),
    "RuntimeError": raising(RuntimeError("of a library")),
    "MemoryError": raising(MemoryError()),
    "RecursionError": lambda: endless(0),
    "SystemExit": raising(SystemExit(0)),
    "FileNotFoundError": lambda: Path("/nowhere/at/all").read_bytes(),
    "UnicodeDecodeError": b"\xff".decode,
    "Unprintable": raising(Unprintable()),
}


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "clearport" / "problems"


@pytest.mark.parametrize("kind", ACTIONS)
def test_the_message_names_a_log_with_the_traceback(kind: str, logs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        ACTIONS[kind]()
    except problems.UNEXPECTED as error:
        said = problems.told(error, "making a test")
    (log,) = logs.iterdir()
    assert kind in said
    assert log.name in said
    assert "\n" not in said
    text = log.read_text()
    assert "during: making a test" in text
    assert f'File "{__file__}"' in text
    assert capfd.readouterr().err == ""


def test_errors_of_ours_are_their_own_words(logs: Path) -> None:
    assert problems.told(BadInput("a bad word")) == "a bad word"
    assert not logs.exists()


def test_a_debugger_sees_the_traceback(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEARPORT_DEBUG", "1")
    problems.told(ValueError("odd"))
    assert "ValueError: odd" in capfd.readouterr().err
    assert len(list(logs.iterdir())) == 1


def test_only_so_many_logs_are_kept(logs: Path) -> None:
    said = [problems.told(ValueError(str(number))) for number in range(problems.KEPT + 3)]
    assert len(list(logs.iterdir())) == problems.KEPT
    assert all(any(log.name in each for each in said) for log in logs.iterdir())


def test_a_home_that_cannot_be_written_is_no_second_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other"))
    assert str(tmp_path / "other") in problems.told(ValueError("odd"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert "no log of it could be written" in problems.told(ValueError("odd"))


@dataclass(frozen=True)
class Half:
    """A target that writes half of what it should and then does something else."""

    act: Callable[[], Any]
    name: str = "half"
    title: str = "Half a format"
    precisions: tuple[Precision, ...] = ("fp32",)
    requires: tuple[str, ...] = ()

    def lower(self, form: Any, options: Options, folder: Path) -> Sequence[Any]:
        (folder / "parts").mkdir()
        (folder / "parts" / "half.bin").write_bytes(b"half")
        self.act()
        return []


@pytest.mark.parametrize("kind", ACTIONS)
def test_whatever_a_target_raises_is_its_own_row(kind: str, logs: Path, tmp_path: Path) -> None:
    kept = tmp_path / "bundle" / "half" / "of another precision.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"whole")
    (row,) = lowered(ACTIONS[kind], tmp_path / "bundle")
    assert isinstance(row, Skipped)
    assert row.what == "half/fp32"
    assert kind in row.reason
    assert "during: writing half/fp32" in next(logs.iterdir()).read_text()
    assert list(kept.parent.rglob("*")) == [kept], "what was half written is gone"


def lowered(act: Callable[[], Any], folder: Path) -> list[Artifact | Skipped]:
    graph: Any = None  # the target of these tests does not look at it
    folder.mkdir(exist_ok=True)
    return pipeline_lower.lower(Cell(Half(act), "fp32"), graph, None, Options(), folder)


def test_an_operator_without_a_rule_is_no_problem(logs: Path, tmp_path: Path) -> None:
    (row,) = lowered(raising(UnsupportedOperator("half", "Loop", "l1")), tmp_path / "bundle")
    assert isinstance(row, Skipped)
    assert "Loop" in row.reason
    assert not logs.exists()


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "read-only"), BadInput("bad")]
)
def test_a_problem_of_every_target_ends_the_export(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        lowered(raising(error), tmp_path / "bundle")


@pytest.fixture
def doubler(tmp_path: Path) -> Artifact:
    """A real ONNX file that ONNX Runtime runs, with a contract that fits."""
    shape = (1, 3, 8, 8)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "restored")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "image"], ["restored"])], "doubler", ends[:1], ends[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "doubler.onnx")
    specs = [TensorSpec(name, shape) for name in ("image", "restored")]
    return Artifact("onnxruntime", "fp32", tmp_path / "doubler.onnx", "", (specs[0],), (specs[1],), {})


@pytest.mark.parametrize(
    "change",
    [
        lambda artifact: replace(artifact, inputs=(replace(artifact.inputs[0], value_range=()),)),
        lambda artifact: replace(artifact, outputs=(replace(artifact.outputs[0], value_range=()),)),
    ],
    ids=["no range that comes in", "no range that goes out"],
)
def test_whatever_a_proof_raises_is_a_parity_that_failed(
    change: Callable[[Artifact], Artifact], doubler: Artifact, logs: Path
) -> None:
    picture = np.full((8, 8, 3), 40, np.uint8)
    reference = Reference("twice the picture", np.full((8, 8, 3), 80, np.float32))
    exams = [References(PHOTO, {"image": picture}, (reference,)).exam(doubler)]
    (good,) = prove(doubler, exams, 1).reports
    assert isinstance(good, ParityReport)
    assert good.passed
    (report,) = prove(change(doubler), exams, 1).reports
    assert isinstance(report, ParityReport)
    assert not report.passed
    (words,) = report.failures
    assert any(log.name in words for log in logs.iterdir())
