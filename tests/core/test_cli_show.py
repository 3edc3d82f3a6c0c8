"""What commands print: each figure says what it is, and nothing is told twenty times."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from rich.console import Console

from clearport import cli_show
from clearport.bench_record import BenchedModel, BenchPlan, BenchRecord
from clearport.bundle import Bundle
from clearport.cli_progress import progress_bar
from clearport.cli_show import show_bundle, show_checks, show_restored
from clearport.cli_show_bench import show_bench
from clearport.pipeline_bench import BenchOutcome
from clearport.pipeline_run import Restored
from clearport.reports.junit import Check
from tests.device_rows import LOST, with_devices


@pytest.fixture(scope="module")
def made(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("show") / "bundle")


def test_an_export_tells_the_reference_from_pytorch(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    show_bundle(made, as_json=False)
    said = capsys.readouterr().out
    assert "dB to PyTorch" in said
    assert "PyTorch for float, the QDQ model for int8" in said
    assert said.count("Core ML runs on macOS only") == 1, "a reason is told once"


def test_a_narrow_terminal_gets_fewer_columns_and_whole_names(
    made: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_show, "_console", lambda: Console(highlight=False, width=80))
    show_bundle(made, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "a wider terminal shows max, mean, equal, too" in lines
    rows = [line for line in lines if line.startswith(tuple(f"{a.key} " for a in made.artifacts))]
    assert len(rows) == len(made.artifacts)
    assert all(len(line) <= 80 for line in rows)


def test_a_bench_separates_what_was_measured_estimated_and_simulated(
    made: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = with_devices(made.manifest)
    record = BenchRecord(
        clearport="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        model=BenchedModel(
            name="ncnet", scale=3, size="8x8", input_size="8x8", macs=1, weights_sha256=manifest.model.weights_sha256
        ),
        plan=BenchPlan(threads=1, runs=30, seconds=0.0),
        devices=manifest.devices,
        rows=manifest.device_rows,
    )
    show_bench(BenchOutcome(made, record, frozenset()), None)
    said = capsys.readouterr().out
    titles = [line for line in said.splitlines() if re.match(r"(phone|npu|arm)\b", line)]
    assert [title.rpartition(": ")[2] for title in titles] == [
        "measured",
        "a compiler's estimate, nothing ran",
        "simulated, correctness without latency",
    ]
    assert said.count(LOST) == 1
    assert f"skipped 2 artifacts: {LOST} (coreml/fp16/image, coreml/fp32/tensor)" in said
    simulated = said[said.index("simulated, correctness") :]
    assert "median ms" not in simulated
    assert "~131.25" in said


def test_checks_that_could_not_be_made_are_told_once_for_each_reason(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("golden by litert", True, "equal", group="tflite/int8"),
        Check("golden by coreml", None, "Core ML runs on macOS only", group="coreml/fp16"),
        Check("golden by coreml", None, "Core ML runs on macOS only", group="coreml/int8"),
    ]
    show_checks(checks, as_json=False)
    said = capsys.readouterr().out
    assert "skipped golden by coreml: Core ML runs on macOS only (coreml/fp16, coreml/int8)" in said
    assert said.endswith("1 checks held, 2 could not be made here\n")


def test_one_tile_is_one_tile(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show_restored(Restored(tmp_path / "x.png", 9, 6, 1, 0.5, "tflite/int8", "ran on LiteRT"), as_json=False)
    said = capsys.readouterr().out
    assert "1 tile," in said
    assert "tflite/int8 (ran on LiteRT)" in said


def test_stages_that_are_over_at_once_leave_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(quiet=False) as progress:
        progress("at once", 0, 0)
        progress("long", 0, 0)
        time.sleep(0.1)
    said = capsys.readouterr().err
    assert re.fullmatch(r"✓ long 0\.\d s\n", said)
