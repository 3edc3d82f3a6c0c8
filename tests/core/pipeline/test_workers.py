"""Reuse of a worker for several artifacts: only after complete answers, and without leftover processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from clearport.base import Artifact
from clearport.errors import RuntimeFailure
from clearport.pipeline.isolated import workers
from clearport.pipeline.isolated.workers import open_worker, reused
from clearport.runtime.worker.worker import Worker

pytestmark = pytest.mark.usefixtures("own_processes")

ONE = {"x": np.ones(2, np.float32)}


def artifact(folder: Path, factor: float) -> Artifact:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    by = helper.make_tensor("by", TensorProto.FLOAT, [1], [factor])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "by"], ["y"])], "times", [x], [y], [by])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / f"times_{factor:g}.onnx"
    onnx.save(model, path)
    return Artifact("onnxruntime", "fp32", path, "", (), (), {})


def pid_of(worker: Worker) -> int:
    assert worker._process is not None
    return worker._process.popen.pid


def run(made: Artifact, options: dict[str, bool] | None = None) -> tuple[int, float]:
    with open_worker("onnxruntime", made, 1, 60.0, options) as worker:
        return pid_of(worker), float(worker.run(ONE)["y"][0])


def test_each_file_is_opened_in_the_same_worker_process(tmp_path: Path) -> None:
    with reused():
        first, two = run(artifact(tmp_path, 2.0))
        again, three = run(artifact(tmp_path, 3.0), {"optimize": False})
        assert (two, three) == (2.0, 3.0)
        assert first == again
        assert psutil.pid_exists(first)
    assert not psutil.pid_exists(first)


def test_outside_a_block_each_file_has_its_own(tmp_path: Path) -> None:
    first, _ = run(artifact(tmp_path, 2.0))
    assert not psutil.pid_exists(first)


def test_one_that_failed_is_not_used_again(tmp_path: Path) -> None:
    broken = Artifact("onnxruntime", "fp32", tmp_path / "broken.onnx", "", (), (), {})
    broken.path.write_bytes(b"no model")
    with reused():
        first, _ = run(artifact(tmp_path, 2.0))
        with pytest.raises(RuntimeFailure, match=r"broken\.onnx"):
            run(broken)
        assert not psutil.pid_exists(first)
        _, two = run(artifact(tmp_path, 2.0))
        assert two == 2.0


def test_one_that_ended_meanwhile_is_not_taken(tmp_path: Path) -> None:
    with reused():
        first, _ = run(artifact(tmp_path, 2.0))
        psutil.Process(first).kill()
        psutil.wait_procs([psutil.Process(first)] if psutil.pid_exists(first) else [], 5)
        _, two = run(artifact(tmp_path, 2.0))
        assert two == 2.0


def test_what_one_cannot_open_any_more_is_opened_by_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may end an idle worker at any moment: that is no fault of the file."""
    with reused():
        first, _ = run(artifact(tmp_path, 2.0))
        monkeypatch.setattr(Worker, "alive", True)
        psutil.Process(first).kill()
        again, three = run(artifact(tmp_path, 3.0))
        assert again != first
        assert three == 3.0


def test_one_that_holds_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_IDLE_MIB", 1.0)
    with reused():
        first, _ = run(artifact(tmp_path, 2.0))
        assert not psutil.pid_exists(first)


def test_no_more_than_a_few_wait(tmp_path: Path) -> None:
    made = artifact(tmp_path, 2.0)
    with reused():
        pids = []
        with (
            open_worker("onnxruntime", made, 1, 60.0) as a,
            open_worker("onnxruntime", made, 1, 60.0) as b,
            open_worker("onnxruntime", made, 1, 60.0) as c,
        ):
            pids = [pid_of(each) for each in (a, b, c)]
        assert [psutil.pid_exists(pid) for pid in pids] == [True, True, False]
