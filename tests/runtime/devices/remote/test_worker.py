"""The worker as it runs on a device: one file without an installation, and a guard that ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from shlex import quote

import numpy as np
import psutil
import pytest

from clearport.errors import NotInstalled, RuntimeFailure
from clearport.registry import RUNNERS
from clearport.runtime.devices.remote.archive import modules, worker_archive
from clearport.runtime.worker import wire as worker_wire
from clearport.runtime.worker.launch import Launch, worker_environment
from clearport.runtime.worker.worker import Worker
from tests.runtime.devices.remote.local_shell import LocalShell

SOURCE = """
import ctypes, os, subprocess, sys, tempfile, time
class Session:
    def run(self, inputs):
        {run}
        return {{name: array + array.dtype.type(1) for name, array in inputs.items()}}
    def facts(self):
        return {{"unit": "cpu", "package": sys.modules["clearport"].__file__, "omp": os.environ["OMP_NUM_THREADS"],
                "temporary": tempfile.gettempdir(), "pid": os.getpid()}}
class Runner:
    name, title, targets, requires = "odd", "Odd", ("odd",), {requires}
    measures_latency, method = True, "ran on nothing"
    def unavailable(self):
        return {unavailable}
    def open(self, path, threads, options):
        assert path.read_bytes() == b"weights"
        return Session()
RUNNER = Runner()
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worker_archive(["litert", "onnxruntime"], tmp_path_factory.mktemp("archive"))


def test_the_archive_has_what_a_worker_imports_and_no_more(archive: Path) -> None:
    names = set(zipfile.ZipFile(archive).namelist())
    assert {"__main__.py", "clearport/runtime/runners/litert.py", "clearport/runtime/sessions/tflite.py"} <= names
    assert not names & {
        "clearport/runtime/runners/openvino.py",
        "clearport/runtime/devices/remote/session.py",
        "clearport/cli/app.py",
    }
    assert archive.stat().st_size < 200_000


def test_the_same_runners_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    again = worker_archive(["litert", "onnxruntime"], tmp_path)
    assert again.read_bytes() == archive.read_bytes()


SENT = [name for name in RUNNERS.names() if "torch" not in RUNNERS.get(name).targets]


@pytest.mark.parametrize("name", [name for name in SENT if RUNNERS.get(name).measures_latency])
def test_every_runner_starts_from_its_archive_alone(tmp_path: Path, name: str) -> None:
    """-S and -E hide the installation of clearport: what a runner needs besides is the folder of numpy."""
    path = tmp_path / "modules"
    zipfile.ZipFile(worker_archive([name], tmp_path)).extractall(path)
    site = Path(np.__file__).parent.parent
    code = f"import sys; sys.path[:0] = [{str(path)!r}]; sys.path.append({str(site)!r}); "
    code += f"import clearport; assert {str(path)!r} in clearport.__file__; "
    code += f"from clearport.registry import RUNNERS; assert {name!r} in RUNNERS.names(); RUNNERS.get({name!r})"
    done = subprocess.run([sys.executable, "-S", "-E", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_that_is_not_ours_cannot_be_packed() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"clearport\.runtime\.run_nothing"):
        modules(["clearport.runtime.run_nothing"])


def test_a_survey_asks_the_runners(archive: Path) -> None:
    wanted = {"onnxruntime": ["numpy"], "litert": ["numpy", "no-such-runtime"], "missing_one": []}
    done = subprocess.run(
        [sys.executable, archive, json.dumps({"survey": wanted})], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["onnxruntime"] == {"missing": [], "unavailable": None}
    assert found["litert"] == {"missing": ["no-such-runtime"], "unavailable": None}
    assert "unknown runner 'missing_one'" in found["missing_one"]["unavailable"]


def launched(
    folder: Path, archive: Path, *, run: str = "pass", unavailable: str = "None", requires: str = "()"
) -> Worker:
    """A worker behind its guard, on this machine; ``folder`` is what the guard may write to."""
    (folder / "model.bin").write_bytes(b"weights")
    plugin = folder / "run_odd.py"
    plugin.write_text(SOURCE.format(run=run, unavailable=unavailable, requires=requires))
    serve = json.dumps({"serve": {"folder": str(folder), "environment": worker_environment(3)}})
    argv = LocalShell().speak(f"exec {quote(sys.executable)} {quote(str(archive))} {quote(serve)}").argv
    launch = Launch(argv, str(folder / "model.bin"), str(plugin))
    return Worker("odd", Path("not/here.bin"), 3, 60.0, launch=launch)


def left(folder: Path) -> list[str]:
    given = {"model.bin", "run_odd.py", "__pycache__"}  # Python may compile what it imports
    return sorted(p.name for p in folder.iterdir() if p.name not in given)


def until(done: Callable[[], bool], within_s: float = 120.0) -> None:
    end = time.monotonic() + within_s
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    assert done()


def test_a_guarded_worker_serves_from_the_archive(tmp_path: Path, archive: Path) -> None:
    with launched(tmp_path, archive) as worker:
        data = np.arange(300_000, dtype=np.float32)
        np.testing.assert_array_equal(worker.run({"a": data})["a"], data + 1)
        facts = worker.facts()
        assert Path(facts["package"]) == archive.parent / "modules/clearport/__init__.py"
        assert facts["omp"] == "3"
        assert Path(facts["temporary"]).parent == tmp_path
    until(lambda: not left(tmp_path))


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("os.abort()", r"crashed \(SIGABRT\)"),
        ("os._exit(7)", "ended with exit code 7"),
        ("raise ValueError('no such tensor')", "ValueError: no such tensor"),
    ],
)
def test_the_exit_of_a_remote_runtime_is_reported(tmp_path: Path, archive: Path, run: str, said: str) -> None:
    with launched(tmp_path, archive, run=run) as worker, pytest.raises(RuntimeFailure, match=said):
        worker.run({"a": np.zeros(1, np.float32)})
    until(lambda: not left(tmp_path))


def test_a_runner_that_cannot_be_used_there_says_so(tmp_path: Path, archive: Path) -> None:
    with (
        pytest.raises(RuntimeFailure, match="odd: no GPU here"),
        launched(tmp_path, archive, unavailable='"no GPU here"'),
    ):
        pass
    with pytest.raises(NotInstalled, match="no-such-thing"), launched(tmp_path, archive, requires='("no-such-thing",)'):
        pass


GIL = 'subprocess.Popen(["sleep", "600"]); ctypes.PyDLL(None).sleep(600)'
"""Hangs with Python's lock held, so that no thread of the worker can notice anything."""


def test_a_hang_that_holds_pythons_lock_ends_with_the_stream(tmp_path: Path, archive: Path) -> None:
    with launched(tmp_path, archive, run=GIL) as worker:
        hanging = psutil.Process(worker.facts()["pid"])
        worker.timeout_s = 3.0
        with pytest.raises(RuntimeFailure, match="no answer within 3 s"):
            worker.run({"a": np.zeros(1, np.float32)})
    until(lambda: gone(hanging) and not left(tmp_path))


def test_processes_of_a_hanging_runtime_are_killed_with_it(tmp_path: Path, archive: Path) -> None:
    with launched(tmp_path, archive, run=GIL) as worker:
        hanging = psutil.Process(worker.facts()["pid"])
        process = worker._process
        assert process is not None
        worker_wire.send(process.stdin, {"command": "run"}, {"a": np.zeros(1, np.float32)})
        until(lambda: len(hanging.children()) == 1)
        family = [hanging, psutil.Process(hanging.ppid()), *hanging.children()]
        worker.kill()
        until(lambda: all(map(gone, family)))
    assert left(tmp_path) == []


def test_a_signal_to_the_guard_ends_the_worker(tmp_path: Path, archive: Path) -> None:
    with launched(tmp_path, archive) as worker:
        serving, process = psutil.Process(worker.facts()["pid"]), worker._process
        assert process is not None
        psutil.Process(serving.ppid()).terminate()
        assert process.popen.wait(timeout=120) == 128 + signal.SIGKILL
        assert gone(serving)
        assert left(tmp_path) == []


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
