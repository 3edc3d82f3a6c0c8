"""Native code on users' photos and graphs runs in a separate process, whose crash is a message."""

from __future__ import annotations

import contextvars
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from clearport import problems
from clearport.base import Options, Size, Skipped
from clearport.errors import BadInput, CheckFailed, RuntimeFailure
from clearport.export.from_torch import export_graph
from clearport.graph import nodes as graphs
from clearport.pipeline.export import _make
from clearport.pipeline.int8 import Photos
from clearport.pipeline.isolated import codec
from clearport.pipeline.isolated.process import Isolated
from clearport.pipeline.plan import Cell, make_plan
from clearport.pipeline.sources.request import ExportRequest
from clearport.quantize import flow, table
from clearport.quantize.flow import QuantizeOptions
from clearport.quantized import QuantizedGraph
from clearport.registry import NETWORKS, TARGETS

pytestmark = pytest.mark.usefixtures("own_processes")

SPEC = NETWORKS.get("ncnet")
QUICK = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)
PHOTOS = [np.random.default_rng(n).integers(0, 256, (16, 16, 3), np.uint8) for n in range(2)]


@pytest.fixture(scope="module")
def graph() -> Any:
    return export_graph(SPEC.build(3), SPEC, 3, Size(16, 16))


@pytest.fixture(scope="module")
def isolated() -> Iterator[Isolated]:
    with Isolated() as running:
        yield running


@pytest.fixture(scope="module")
def here(graph: Any) -> QuantizedGraph:
    """What this process makes of the photos, by its own sessions."""
    return contextvars.Context().run(flow.quantize, graph, PHOTOS, QUICK)


def killing(isolated: Isolated, number: signal.Signals, stage: str) -> Any:
    """A Progress that sends a signal to the other process at a stage, once."""
    left = [stage]

    def progress(now: str, *_: int) -> None:
        if left == [now]:
            left.clear()
            assert isolated.pid is not None
            os.kill(isolated.pid, number)

    return progress


def same(one: QuantizedGraph, other: QuantizedGraph) -> bool:
    return table.dumps(one.table) == table.dumps(other.table) and graphs.to_bytes(one.graph.model) == graphs.to_bytes(
        other.graph.model
    )


def test_it_returns_the_same_as_this_process(isolated: Isolated, graph: Any, here: QuantizedGraph) -> None:
    told: list[str] = []
    there = isolated.quantize(graph, PHOTOS, replace(QUICK, progress=lambda stage, *_: told.append(stage)))
    assert same(there, here)
    assert replace(there.graph, model=None) == replace(graph, model=None)  # type: ignore[arg-type]  # all other fields
    assert "observing photos" in told


def test_sessions_of_the_block_are_opened_there(isolated: Isolated, graph: Any) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    (there,) = graphs.session(graph.model).run(None, {"image": image})
    (here,) = graphs.session_here(graphs.to_bytes(graph.model), False).run(None, {"image": image})
    np.testing.assert_array_equal(there, here)
    with pytest.raises(Exception, match="INVALID_ARGUMENT") as raised:
        graphs.session(graph.model).run(["nothing"], {"image": image})
    assert type(raised.value).__name__ == "InvalidArgument"


def test_errors_are_those_that_were_raised_there(isolated: Isolated, graph: Any, logs_of_problems: Path) -> None:
    with pytest.raises(BadInput, match="calibration needs at least one photo"):
        isolated.quantize(graph, [], QUICK)
    with pytest.raises(CheckFailed, match="quantize without equalization"):
        isolated.quantize(graph, PHOTOS, replace(QUICK, equalization=()))
    with pytest.raises(Exception, match="ufunc 'power' not supported") as raised:
        isolated.quantize(graph, PHOTOS, replace(QUICK, equalization=("strong",)))  # type: ignore[arg-type]
    said = problems.told(raised.value, "quantizing")
    assert said.startswith("unexpected TypeError: ufunc")
    log = max(logs_of_problems.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert "equalize.py" in log.read_text(), "the traceback is that of the other process"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_a_failure_that_names_the_signal(
    isolated: Isolated, graph: Any, here: QuantizedGraph, number: signal.Signals
) -> None:
    crashing = replace(QUICK, progress=killing(isolated, number, "observing photos"))
    said = f"quantizing failed: its process ended with signal {number.value} ({number.name})"
    with pytest.raises(RuntimeFailure, match=re.escape(said)):
        isolated.quantize(graph, PHOTOS, crashing)
    assert same(isolated.quantize(graph, PHOTOS, QUICK), here), "another was started"


def test_a_crash_while_quantizing_leaves_the_float_artifacts(tmp_path: Path) -> None:
    request = ExportRequest("ncnet", tmp_path, size=Size(16, 16), targets=("onnxruntime",))
    plan = make_plan(request)
    with Isolated() as isolated:
        progress = killing(isolated, signal.SIGFPE, "observing photos")
        photos = Photos([], PHOTOS)
        made = _make(plan, photos, isolated, tmp_path, progress)
    assert {artifact.precision for artifact in made.artifacts} == {"fp32"}
    assert made.quantized is None
    (skipped,) = made.skipped
    assert skipped.what == "onnxruntime/int8"
    assert "quantizing failed: its process ended with signal 8 (SIGFPE)" in skipped.reason
    assert not (tmp_path / "scales.json").exists()


def test_a_crash_while_writing_is_one_row_and_nothing_half_written(graph: Any, tmp_path: Path) -> None:
    kept = tmp_path / "onnxruntime" / "of another precision.onnx"
    kept.parent.mkdir()
    kept.write_bytes(b"whole")
    with Isolated() as isolated:
        assert isolated.pid is not None
        os.kill(isolated.pid, signal.SIGABRT)
        cell = Cell(TARGETS.get("onnxruntime"), "fp32")
        (row,) = isolated.lower(cell, graph, None, Options(), tmp_path)
        assert isinstance(row, Skipped)
        assert row.what == "onnxruntime/fp32"
        assert "SIGABRT" in row.reason
        assert list(kept.parent.iterdir()) == [kept]
        again = isolated.lower(cell, graph, None, Options(), tmp_path)
    assert [artifact.path.exists() for artifact in again] == [True, True]  # type: ignore[union-attr]


def test_ctrl_c_ends_it(graph: Any) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with Isolated() as isolated:
        process = psutil.Process(isolated.pid)
        with pytest.raises(KeyboardInterrupt):
            isolated.quantize(graph, PHOTOS, replace(QUICK, progress=interrupted))
        assert not process.is_running()


def test_it_takes_no_more_memory_than_the_machine_has(isolated: Isolated) -> None:
    resource = pytest.importorskip("resource")
    soft, _ = resource.prlimit(isolated.pid, resource.RLIMIT_DATA)
    assert soft == psutil.virtual_memory().total + psutil.swap_memory().total
    assert Path(f"/proc/{isolated.pid}/oom_score_adj").read_text().strip() == "500"


def test_every_field_of_a_graph_travels(graph: Any) -> None:
    unusual = replace(graph, spec_name="another", history=("a", "b"), least_side=13, credits={"task": "none"})
    back = codec.unpack_graph(*codec.pack_graph(unusual))
    assert replace(back, model=graph.model) == replace(unusual, model=graph.model)
    assert graphs.to_bytes(back.model) == graphs.to_bytes(graph.model)
