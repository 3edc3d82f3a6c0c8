"""Core AI's runner: in a worker, on Apple's runtime for Linux."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from clearport.base import Options, Size
from clearport.errors import BadInput, RuntimeFailure
from clearport.export.coreai import beta
from clearport.export.written import target_graph
from clearport.registry import TARGETS, missing
from clearport.runtime.runners.coreai import RUNNER
from clearport.runtime.usable import too_large
from clearport.runtime.worker.worker import Worker
from tests.export.conftest import doubling_graph

if missing((beta.PACKAGE,)):
    pytest.skip(beta.unusable() or "coreai-core is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, options = tmp_path_factory.mktemp("coreai"), Options(Size(12, 16))
    found: Path = (
        TARGETS.get("coreai").lower(target_graph(doubling_graph((12, 16)), None, "fp32"), options, folder)[0].path
    )
    return found


@pytest.fixture
def copied(path: Path, tmp_path: Path) -> Path:
    copy = tmp_path / path.name
    copy.mkdir()
    for part in path.iterdir():
        (copy / part.name).write_bytes(part.read_bytes())
    return copy


def test_a_worker_runs_it_and_says_on_what(path: Path) -> None:
    image = np.full((1, 3, 12, 16), 100, np.float32)
    with Worker("coreai", path) as worker:
        output = worker.outputs({"image": image}, ["restored"])["restored"]
        facts = worker.facts()
        with pytest.raises(RuntimeFailure, match=r"'image' is float32 \[1, 3, 6, 16\]: the model takes"):
            worker.run({"image": image[:, :, :6]})
        with pytest.raises(RuntimeFailure, match="input 'image' is missing; given: picture"):
            worker.run({"picture": image})
        assert np.array_equal(worker.outputs({"image": image}, ["restored"])["restored"], output)
    assert output.shape == (1, 3, 24, 32)
    assert facts["metadata"]["license"] == ""
    if sys.platform != "darwin":
        assert facts["unit"] == "cpu"
        assert facts["method"] == "ran on Apple's Core AI runtime for Linux (CPU)"


def test_a_reopened_worker_keeps_one_compiled_program(path: Path) -> None:
    """Python and its finalizers never end in a worker, which may open hundreds of files."""
    with Worker("coreai", path) as worker:
        for _ in range(3):
            worker.reopen({})
        assert worker._process is not None
        kept = list(worker._process._folder.folder.glob("*.aimodelx"))
    assert len(kept) <= 1


def test_a_damaged_file_is_reported_clearly(copied: Path) -> None:
    program = bytearray((copied / beta.PROGRAM).read_bytes())
    program[len(program) // 2] ^= 1
    (copied / beta.PROGRAM).write_bytes(program)
    with pytest.raises(RuntimeFailure, match=r"main\.mlirb is not what main\.hash says: the file is damaged"):
        RUNNER.open(copied, 1, {})


@pytest.mark.parametrize("name", [beta.PROGRAM, beta.HASH, beta.METADATA])
def test_a_file_without_a_part_is_reported_clearly(name: str, copied: Path) -> None:
    (copied / name).unlink()
    with pytest.raises(RuntimeFailure, match=f"{name} is missing"):
        RUNNER.open(copied, 1, {})


def test_metadata_that_is_not_json_is_reported_clearly(copied: Path) -> None:
    (copied / beta.METADATA).write_text("{")
    with pytest.raises(RuntimeFailure, match=r"metadata\.json is not JSON"):
        RUNNER.open(copied, 1, {})


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has them")
def test_off_macos_there_is_the_cpu_alone(path: Path) -> None:
    with pytest.raises(BadInput, match="unit 'npu': Core AI supports cpu here"):
        RUNNER.open(path, 1, {"unit": "npu"})
    assert not RUNNER.measures_latency


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS is fast")
def test_large_pictures_are_not_run_unasked() -> None:
    assert too_large(RUNNER, 64, 64) is None
    assert "not run above 128x128 pixels" in str(too_large(RUNNER, 360, 640))
