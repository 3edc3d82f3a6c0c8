"""The worker, with runtimes that work, refuse, crash, hang, print or are missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.runtime.worker.worker import Worker

SOURCE = """
import os, subprocess, sys, time
HEAVY = {{"torch", "onnx", "onnx_ir", "pydantic", "PIL", "typer"}}
class Session:
    def run(self, inputs):
{run}
        return {{name: array + array.dtype.type(1) for name, array in inputs.items()}}
    def facts(self):
        return {{"unit": "cpu", "heavy": sorted(set(sys.modules) & HEAVY)}}
class Runner:
    name, title, targets, requires = "odd", "Odd", ("odd",), ()
    measures_latency, method = True, "ran on nothing"
{attributes}
    def open(self, path, threads, options):
{opening}
        return Session()
RUNNER = Runner()
"""


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    return path


@dataclass(frozen=True)
class Oddity:
    """What the runner of a test does before it opens, before it runs, and what else its class says."""

    opening: str = "pass"
    run: str = "pass"
    attributes: str = ""

    def plugin(self, folder: Path) -> Path:
        def body(text: str, spaces: int) -> str:
            return textwrap.indent(textwrap.dedent(text).strip(), " " * spaces)

        path = folder / "run_odd.py"
        source = SOURCE.format(
            opening=body(self.opening, 8), run=body(self.run, 8), attributes=body(self.attributes, 4)
        )
        path.write_text(source)
        return path


def odd(artifact: Path, oddity: Oddity | None = None, timeout_s: float = 120.0, python: str | None = None) -> Worker:
    plugin = (oddity or Oddity()).plugin(artifact.parent)
    return Worker("odd", artifact, 1, timeout_s, plugin=plugin, python=python)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32", "float16", "int64"])
def test_arrays_go_and_come_back(artifact: Path, dtype: str) -> None:
    inputs = {
        "a": np.arange(24).reshape(2, 3, 4).astype(dtype).transpose(2, 0, 1),
        "empty": np.zeros((0, 3), dtype),
        "scalar": np.array(7, dtype),
    }
    with odd(artifact) as worker:
        outputs = worker.run(inputs)
    assert outputs.keys() == inputs.keys()
    for name, array in inputs.items():
        assert outputs[name].dtype == array.dtype
        assert outputs[name].shape == array.shape
        np.testing.assert_array_equal(outputs[name], array + array.dtype.type(1))


def test_an_output_that_is_not_there_is_named_with_those_that_are(artifact: Path) -> None:
    inputs = {"a": np.zeros(2, np.uint8), "b": np.zeros(2, np.uint8)}
    with odd(artifact) as worker:
        assert worker.outputs(inputs, ["b"])["b"].tolist() == [1, 1]
        with pytest.raises(RuntimeFailure, match=r"no output 'c' \(it has: a, b\)"):
            worker.outputs(inputs, ["b", "c"])


def test_times_and_facts(artifact: Path) -> None:
    with odd(artifact) as worker:
        timing = worker.measure({"a": np.zeros(4, np.float32)}, runs=5, warmup=2)
        again = worker.measure(None, runs=3)
        facts = worker.facts()
    assert (len(timing.wall_ms), len(timing.cpu_ms), len(timing.warmup_ms)) == (5, 5, 2)
    assert len(again.wall_ms) == 3
    assert min(timing.wall_ms) > 0
    assert facts["first_inference_ms"] == timing.warmup_ms[0]
    assert facts["heavy"] == []
    assert 5 < facts["peak_memory_mib"] < 500
    assert facts["io_copies_counted"] is True


def test_chatter_of_the_runtime_does_not_reach_the_protocol(artifact: Path) -> None:
    chatter = Oddity(run='os.write(1, b"\\x00\\xff chatter on descriptor 1" * 5000); print("chatter on stdout")')
    with odd(artifact, chatter) as worker:
        assert worker.run({"a": np.ones(2, np.float32)})["a"].tolist() == [2.0, 2.0]


def test_descriptor_zero_is_empty(artifact: Path) -> None:
    with odd(artifact, Oddity(run='assert os.read(0, 10) == b""')) as worker:
        worker.run({})


ABORT = 'os.write(2, b"FATAL: tensor arena exploded\\n"); os.abort()'


@pytest.mark.parametrize("oddity", [Oddity(opening=ABORT), Oddity(run=ABORT)], ids=["opening", "running"])
def test_a_crash_is_reported_with_the_runtimes_output(artifact: Path, oddity: Oddity) -> None:
    said = r"odd, (opening|running) .*model\.bin: the runtime crashed \(SIGABRT\)(.|\n)*tensor arena exploded"
    with pytest.raises(RuntimeFailure, match=said), odd(artifact, oddity) as worker:
        worker.run({"a": np.zeros(3, np.uint8)})


def test_an_exit_within_the_runtime_is_reported(artifact: Path) -> None:
    with pytest.raises(RuntimeFailure, match="exit code 3"), odd(artifact, Oddity(opening="os._exit(3)")):
        pass


def test_hang_is_ended_with_its_children(artifact: Path) -> None:
    note = artifact.parent / "pids"
    hang = f"""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(note)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        time.sleep(600)
    """
    with pytest.raises(RuntimeFailure, match=r"no answer within 10 s"), odd(artifact, Oddity(opening=hang), 10.0):
        pass
    assert_all_gone([int(n) for n in note.read_text().split()])


def assert_all_gone(pids: list[int], within_s: float = 120.0) -> None:
    end = time.monotonic() + within_s
    while (alive := [p for p in pids if psutil.pid_exists(p) and not is_zombie(p)]) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive == []


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_stopped_worker_does_not_block_a_large_message(artifact: Path) -> None:
    with odd(artifact) as worker:
        worker.timeout_s = 1.0
        assert worker._process is not None
        os.kill(worker._process.popen.pid, signal.SIGSTOP)
        with pytest.raises(RuntimeFailure, match="no answer within 1 s"):
            worker.run({"a": np.zeros(1 << 22, np.uint8)})


def test_refusal_leaves_the_worker_well(artifact: Path) -> None:
    picky = Oddity(run='if not inputs: raise ValueError("no tensor was given")')
    with odd(artifact, picky) as worker:
        with pytest.raises(RuntimeFailure, match=r"running .*model\.bin: ValueError: no tensor was given"):
            worker.run({})
        assert worker.run({"a": np.zeros(1, np.uint8)})["a"].tolist() == [1]


def test_garbled_answer(artifact: Path) -> None:
    garbler = """
        for descriptor in range(3, 12):
            try: os.write(descriptor, b"\\xff" * 64)
            except OSError: pass
    """
    with pytest.raises(RuntimeFailure, match="garbled its answer"), odd(artifact, Oddity(opening=garbler)):
        pass


def test_tensors_that_are_no_numbers_are_refused_on_both_sides(artifact: Path) -> None:
    words = Oddity(run='import numpy; return {"text": numpy.array(["a"])}')
    with odd(artifact, words) as worker:
        with pytest.raises(RuntimeFailure, match="expected numbers"):
            worker.run({})
        with pytest.raises(TypeError, match="expected numbers"):
            worker.run({"a": np.array(["a"])})


def test_missing_package_is_an_install_line(artifact: Path) -> None:
    absent = Oddity(attributes='requires, extra = ("no-such-runtime",), "odd"')
    with pytest.raises(NotInstalled, match=r"pip install 'clearport\[odd\]'"), odd(artifact, absent):
        pass


def test_missing_file_and_unknown_runner(tmp_path: Path, artifact: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.onnx: no such file"), Worker("onnxruntime", tmp_path / "x.onnx"):
        pass
    with pytest.raises(BadInput, match="did you mean 'onnxruntime'"), Worker("onxruntime", artifact):
        pass


def test_interpreter_that_cannot_start(artifact: Path) -> None:
    with pytest.raises(RuntimeFailure, match="cannot be started"), odd(artifact, python="/no/python"):
        pass


def test_closed_worker_says_so(artifact: Path) -> None:
    with odd(artifact) as worker:
        pass
    worker.close()
    with pytest.raises(RuntimeFailure, match="not running"):
        worker.run({})


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_orphan_when_the_parent_goes(artifact: Path, how: signal.Signals) -> None:
    note = artifact.parent / "pid"
    plugin = Oddity(opening=f'open({str(note)!r}, "w").write(str(os.getpid())); time.sleep(600)').plugin(
        artifact.parent
    )
    script = (  # with Python's own handler: where the tests are a background job, it would ignore SIGINT
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from clearport.runtime.worker.worker import Worker\n"
        f"with Worker('odd', Path({str(artifact)!r}), plugin=Path({str(plugin)!r})): pass"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (note.exists() and note.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    parent.send_signal(how)
    parent.wait(timeout=120)
    assert_all_gone([int(note.read_text())])


def test_an_interpreter_without_clearport_serves(tmp_path: Path, artifact: Path) -> None:
    """``-S`` hides site-packages, and with it the editable install: only numpy's folder is given back."""
    wrapper = tmp_path / "python"
    folder = tmp_path / "site"
    folder.mkdir()
    for name in ("numpy", "numpy.libs"):
        place = Path(np.__file__).parent.parent / name
        if place.exists():
            (folder / name).symlink_to(place)
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} -S "$@"\n')
    wrapper.chmod(0o755)
    with odd(artifact, python=str(wrapper)) as worker:
        assert worker.run({"a": np.zeros(1, np.uint8)})["a"].tolist() == [1]
