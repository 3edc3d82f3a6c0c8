"""A support matrix from the command line: built once, resumed, and the same wherever its exports run."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle
from clearport.bundle.matrix_record import read_record
from device_tests.conftest import Outcome, called
from device_tests.matrix.scene import checksums, laid_out

ZOO = """
sizes = ["32x32"]
targets = ["tflite", "onnxruntime"]
precisions = ["fp32", "int8"]
calibration = "photos"

[models.ncnet]
scales = [2, 3, 4]

[models.tiny]
network = "tiny.onnx"
sizes = ["16x16"]
"""


LINE = (sys.executable, "-m", "clearport", "matrix", "zoo.toml")


def killed(folder: Path, after_s: float) -> int:
    """Kill a matrix after a while, and nothing that it started: that has to notice by itself, and is waited for.

    What it writes until then is a living process's to the next run, and stays.
    """
    process = subprocess.Popen(LINE, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        return process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        started = [Path("/proc", child) for child in _children(process.pid)]
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        end = time.monotonic() + 30
        while any(child.exists() for child in started) and time.monotonic() < end:
            time.sleep(0.1)
        return code


def _children(pid: int) -> list[str]:
    """The processes that any thread of a process has started."""
    threads = Path("/proc", str(pid), "task").iterdir()
    return [child for thread in threads for child in (thread / "children").read_text().split()]


def matrix(folder: Path, *words: str | Path) -> Outcome:
    """``clearport matrix`` in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return called("matrix", "zoo.toml", *words)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small matrix, killed once and resumed; not to be changed by a test."""
    folder = laid_out(tmp_path_factory.mktemp("matrix") / "scene").parent
    assert killed(folder, 1.5) == -signal.SIGKILL
    done = matrix(folder)
    assert done.code == 0, done.err
    return folder / "zoo"


def test_every_cell_is_proven_or_refused_with_its_reason(built: Path) -> None:
    record = read_record(built / "matrix.json")
    status = {(row.name, cell.key): cell.status for row in record.rows for cell in row.cells}
    assert status == {
        ("tiny", "tflite/fp32"): "proven",
        ("tiny", "ncnn/fp32"): "proven",
        ("again", "tflite/fp32"): "proven",
        ("again", "ncnn/fp32"): "proven",
        ("loop", "tflite/fp32"): "refused",
        ("loop", "ncnn/fp32"): "refused",
    }
    first, again = record.rows[:2]
    assert (first.key, again.bundle, again.label) == (again.key, "again", "again")
    assert all((built / str(cell.path)).exists() and str(cell.path).startswith("again/") for cell in again.cells)
    reasons = {row.name: {cell.reason for cell in row.cells} for row in record.rows}
    assert "random.onnx" in next(iter(reasons["loop"]))
    assert str(built.parent) not in (built / "matrix.json").read_text()
    markdown, page = (built / "matrix.md").read_text(), (built / "matrix.html").read_text()
    assert "| tiny | 16x16 | ✓ fp32" in markdown
    assert '<a href="tiny/report.html">tiny</a>' in page
    assert Bundle.load(built / "tiny").passed
    assert [str(path) for path in built.rglob(".*.partial")] == []


def test_a_second_run_does_nothing(built: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*") if path.is_file()}
    done = matrix(built.parent, "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert done.json == json.loads((built / "matrix.json").read_text())


@pytest.mark.slow
def test_a_damaged_entry_is_built_again_and_a_foreign_file_is_left_alone(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built.parent, tmp_path / "again")
    folder = tmp_path / "again" / "zoo"
    entry = next(path for path in (folder / ".cache").iterdir() if (path / "bundle").is_dir())
    model = next((entry / "bundle" / "tflite").glob("*fp32.tflite"))
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    mine = folder / "tiny" / "mine.txt"
    mine.write_text("mine")
    refused = matrix(folder.parent)
    assert (refused.code, mine.read_text()) == (2, "mine")
    assert "has changed or added files (mine.txt)" in refused.err
    mine.unlink()
    done = matrix(folder.parent)
    assert "tiny: 2 proven" in done.err
    assert checksums(folder) == checksums(built)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Path:
    """A matrix with int8, built in one go."""
    folder = laid_out(tmp_path_factory.mktemp("zoo"), ZOO).parent
    shutil.copytree(few_photos, folder / "photos")
    done = matrix(folder)
    assert done.code == 0, done.err
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_at_random_points_give_the_same_bytes(zoo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(zoo, folder, ignore=shutil.ignore_patterns("zoo"))
    draw = random.Random(7)
    ends = [killed(folder, draw.uniform(1.0, 25.0)) for _ in range(20)]
    assert ends.count(-signal.SIGKILL) >= 5
    done = matrix(folder)
    assert done.code == 0, done.err
    assert checksums(folder / "zoo") == checksums(zoo / "zoo")
    time.sleep(2.0)  # processes whose parent is gone end within a second
    assert [str(path) for path in (folder / "zoo").rglob(".*.partial")] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cluster_of_two_workers_gives_the_same_bytes(zoo: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    folder = tmp_path / "clustered"
    shutil.copytree(zoo, folder, ignore=shutil.ignore_patterns("zoo"))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        engine = ("--engine", "dask", "--cluster", cluster.scheduler_address)
        done = matrix(folder, *engine)
        assert done.code == 0, done.err
        again = matrix(folder, *engine)
    assert checksums(folder / "zoo") == checksums(zoo / "zoo")
    assert again.err == ""
