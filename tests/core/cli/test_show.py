"""Output of commands: every figure is labeled, and nothing is repeated needlessly."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from clearport.base import Skipped
from clearport.bundle.bench_record import BenchedModel, BenchPlan, BenchRecord, BenchRow
from clearport.bundle.folder import Bundle
from clearport.cli import show as cli_show
from clearport.cli.progress import progress_bar
from clearport.cli.show import show_bundle, show_checks, show_restored
from clearport.cli.show_bench import show_bench
from clearport.pipeline.benching.record import differences
from clearport.pipeline.benching.values import BenchOutcome
from clearport.pipeline.run import Restored
from clearport.reports.junit import Check
from clearport.runtime.latency.record import NO_PROFILE
from clearport.runtime.latency.stats import Ratio
from tests.device_rows import LOST, bench_row, with_devices
from tests.latency_reports import latency_report


@pytest.fixture(scope="module")
def made(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("show") / "bundle")


def test_an_export_tells_the_reference_from_pytorch(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    show_bundle(made, as_json=False)
    said = capsys.readouterr().out
    assert "dB to PyTorch" in said
    assert "PyTorch for float, the QDQ model for int8" in said
    assert said.count("Core ML runs on macOS only") == 1, "a reason is told once"


def test_targets_without_timings_are_listed_by_reason(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    def untimed(artifact: Any) -> Any:
        reasons = {"tflite": "no LiteRT", "openvino": "no LiteRT", "onnxruntime/int8/ort": "no LiteRT"}
        reason = reasons.get(artifact.target) or reasons.get(artifact.key)
        return artifact.model_copy(update={"latency": Skipped(artifact.key, reason)}) if reason else artifact

    artifacts = tuple(map(untimed, made.artifacts))
    show_bundle(Bundle(made.folder, made.manifest.model_copy(update={"artifacts": artifacts})), as_json=False)
    said = capsys.readouterr().out
    assert "not timed: onnxruntime/int8/ort, openvino, tflite: no LiteRT\n" in said
    assert "not timed: coreml: Core ML runs on macOS only\n" in said


def test_wall_and_cpu_time_are_both_shown_and_labeled(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    def slow(artifact: Any) -> Any:
        cell = latency_report([80.0] * 6, cpu_median_ms=41.5)
        return artifact.model_copy(update={"latency": cell}) if artifact.key == "tflite/int8" else artifact

    artifacts = tuple(map(slow, made.artifacts))
    show_bundle(Bundle(made.folder, made.manifest.model_copy(update={"artifacts": artifacts})), as_json=False)
    said = capsys.readouterr().out
    header = next(line for line in said.splitlines() if line.startswith("artifact"))
    assert header.index("wall ms") < header.index("CPU ms") < header.index("of PyTorch")
    (row,) = [line for line in said.splitlines() if line.startswith("tflite/int8 ")]
    assert re.search(r"\b80\.0 +41\.5\b", row)


def test_ratios_to_different_baselines_stand_in_columns_of_their_own(
    made: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    ratio = Ratio("pytorch", 0.25, 0.2, 0.95)
    cells = {
        "tflite/int8": latency_report([9.0] * 6, ratio=replace(ratio, baseline="tflite/int8 of old", value=0.9)),
        "tflite/int8 of old": latency_report([10.0] * 6, ratio=ratio),
        "onnxruntime/int8": latency_report([10.0] * 6, ratio=replace(ratio, value=0.5)),
    }
    rows = tuple(bench_row("host", name, cell) for name, cell in cells.items())
    show_bench(BenchOutcome(made, record_of(made, rows), frozenset()), None)
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("artifact"))
    border = header.index("of PyTorch") + len("of PyTorch")  # figures stand right
    assert header.index("of old") > border
    told = {line.split("  ")[0].strip(): line for line in lines if line.startswith(tuple(cells))}
    assert "0.90" in told["tflite/int8"][border:]
    assert "0.25" in told["tflite/int8 of old"][:border]
    assert "0.50" in told["onnxruntime/int8"][:border]


def test_a_profile_that_is_not_there_says_why(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    cell = latency_report([9.0] * 6, facts={NO_PROFILE: "LiteRT's Python API has no profiler"})
    show_bench(BenchOutcome(made, record_of(made, (bench_row("host", "tflite/int8", cell),)), frozenset()), None)
    assert "tflite/int8 litert: no profile: LiteRT's Python API has no profiler" in capsys.readouterr().out


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


def test_a_bench_separates_measured_estimated_and_simulated_values(
    made: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = with_devices(made.manifest)
    record = record_of(Bundle(made.folder, manifest), manifest.device_rows)
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
    simulated = said[said.index("simulated, correctness") : said.index("wall ms, CPU ms: medians")]
    assert "wall ms" not in simulated
    assert "~131.25" in said


def record_of(bundle: Bundle, rows: tuple[BenchRow, ...]) -> BenchRecord:
    sha256 = bundle.manifest.model.weights_sha256
    model = BenchedModel(name="ncnet", scale=3, size="8x8", input_size="8x8", macs=1, weights_sha256=sha256)
    return BenchRecord(
        clearport="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        model=model,
        plan=BenchPlan(threads=1, runs=30, seconds=0.0),
        devices=bundle.manifest.devices,
        rows=rows,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 4}, "it was measured with --threads 1 and this run has 4"),
        ({"runs": 60}, "it was measured with --runs 30 and this run has 60"),
        ({"seconds": 2.5}, "it was measured with --seconds 0 and this run has 2.5"),
        ({"sustained_s": 60.0}, "it was measured with --sustained 0 and this run has 60"),
        ({"pin": (0, 1)}, "it was measured with --pin none and this run has 0,1"),
    ],
)
def test_a_record_of_another_plan_names_the_option(made: Bundle, change: dict[str, Any], words: str) -> None:
    record = record_of(made, ())
    assert differences(record.model, record.model, record.plan, record.plan.model_copy(update=change)) == [words]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_sha256": "f" * 64}, "its weights is .* and this bundle's is ffffffffffff"),
        ({"size": "dynamic"}, "its --size of the export is 8x8 and this bundle's is dynamic"),
        ({"name": "iagc", "scale": 1}, "its network is ncnet and this bundle's is iagc"),
    ],
)
def test_a_record_of_another_bundle_says_in_what(made: Bundle, change: dict[str, Any], words: str) -> None:
    record = record_of(made, ())
    found = differences(record.model, record.model.model_copy(update=change), record.plan, record.plan)
    assert len(found) == len(change)
    assert re.fullmatch(words, found[0])


def test_skipped_checks_are_reported_once_per_reason(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("golden by litert", True, "equal", group="tflite/int8"),
        Check("golden by coreml", None, "Core ML runs on macOS only", group="coreml/fp16"),
        Check("golden by coreml", None, "Core ML runs on macOS only", group="coreml/int8"),
    ]
    show_checks(checks, as_json=False)
    said = capsys.readouterr().out
    assert "skipped golden by coreml: Core ML runs on macOS only (coreml/fp16, coreml/int8)" in said
    assert said.endswith("1 check held, 2 could not be made here\n")


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
    assert re.fullmatch(r"✓ long \d+\.\d s\n", said)


def test_an_export_says_which_weights_it_took(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    taken = "gan.pth (PyTorch state dict, its params_ema, preferred to params)"
    model = made.manifest.model.model_copy(update={"card": {"source": taken}})
    show_bundle(Bundle(made.folder, made.manifest.model_copy(update={"model": model})), as_json=False)
    assert f"weights: {taken}\n" in capsys.readouterr().out


def test_an_export_warns_of_ranges_that_nobody_knows(made: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"input range": "its input is divided by 255 first", "output range": "assumed: it is a map"}
    model = made.manifest.model.model_copy(update={"card": {"source": "my.onnx", "found": found}})
    show_bundle(Bundle(made.folder, made.manifest.model_copy(update={"model": model})), as_json=False)
    told = [line for line in capsys.readouterr().out.splitlines() if "range" in line and line.startswith("warning")]
    assert told == [
        "warning output range is assumed: it is a map; declare it with --contract, or a picture's with --range"
    ]
