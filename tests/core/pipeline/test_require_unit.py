"""``bench --require-unit`` fails if a runtime reports that it silently used another unit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearport.base import Skipped
from clearport.bundle.bench_record import BenchedModel, BenchPlan, BenchRecord, BenchRow
from clearport.bundle.folder import Bundle
from clearport.pipeline.benching.values import BASELINE, BenchOutcome
from clearport.runtime.devices.adb import benchmark_model
from clearport.runtime.devices.browser.rows import report_of
from clearport.runtime.devices.browser.wire import MeasuredRow
from clearport.runtime.devices.device import Cell, EstimateReport, SimulatedReport, Unit
from clearport.runtime.latency.record import LatencyReport
from tests.latency_reports import latency_report
from tests.runtime.devices.browser.cases import candidate
from tests.runtime.devices.browser.cases import row as sent

CONVS, RESIZE = {"Conv": 9}, {"Resize": 1}


def measured(unit: Unit, ran: str, operators: dict[str, dict[str, int]] | None = None, **facts: Any) -> LatencyReport:
    """The requested unit of a runtime, and the one it reports."""
    return latency_report([2.0], unit_asked=unit, unit_ran=ran, facts=facts, operators_per_unit=operators or {})


def estimate(operators: dict[str, dict[str, int]]) -> EstimateReport:
    return EstimateReport("compiler-estimate", "Vela", {}, "U55", "npu", 1.0, 1.0, 0.0, 1, operators, (), {}, ())


def simulated(unit: Unit, ran: str, operators: dict[str, dict[str, int]] | None = None) -> SimulatedReport:
    return SimulatedReport("simulated", "a runtime", {}, "a software GPU", unit, ran, operators or {})


def on_phone(log: str, unit: Unit, accelerator: str | None) -> LatencyReport:
    """What is made of a log of LiteRT's ``benchmark_model``."""
    read = benchmark_model.read(log)
    name = benchmark_model.unit_of_delegate(unit, accelerator)
    operators = benchmark_model.operators_per_unit(name, read, [])
    return measured(unit, benchmark_model.unit_ran(unit, read, accelerator), operators)


def on_page(**changes: Any) -> Cell:
    """What is made of a row that a browser sent."""
    fields = json.dumps(sent(1, **changes))
    return report_of(MeasuredRow.model_validate_json(fields), candidate(1, unit="gpu", backend="webgpu"))


NNAPI = "Replacing 31 out of 31 node(s) with delegate (TfLiteNnapiDelegate) node, yielding 1 partitions"
EXPLICIT = "\nExplicitly applied NNAPI delegate, and the model graph will be completely executed by the delegate."
REFUSED = "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate."

FALLBACKS: dict[str, tuple[Unit, Cell, str]] = {
    "LiteRT's GPU took a part": ("gpu", measured("gpu", "gpu+cpu"), "cpu+gpu"),
    "ONNX Runtime placed nodes on the CPU": (
        "gpu",
        measured("gpu", "gpu+cpu", {"gpu": CONVS, "cpu": RESIZE}),
        "cpu+gpu",
    ),
    "ONNX Runtime placed all nodes on the CPU": ("gpu", measured("gpu", "cpu", {"cpu": CONVS}), "cpu"),
    "ONNX Runtime's profile knows the CPU, the file's operators do not": (
        "npu",
        measured("npu", "npu+cpu", {"npu": CONVS}),
        "cpu+npu",
    ),
    "ncnn has layers without a Vulkan form": (
        "gpu",
        measured("gpu", "gpu+cpu", {"gpu": CONVS, "cpu": RESIZE}),
        "cpu+gpu",
    ),
    "OpenVINO chose the CPU": ("gpu", measured("gpu", "cpu", {"cpu": CONVS}), "cpu"),
    "OpenVINO chose the GPU for the NPU": ("npu", measured("npu", "gpu", {"gpu": CONVS}), "gpu"),
    "PyTorch's weights stayed on the CPU": ("gpu", measured("gpu", "cpu"), "cpu"),
    "Core ML planned for two units": ("npu", measured("npu", "cpu+npu", {"npu": CONVS, "cpu": RESIZE}), "cpu+npu"),
    "Core ML does not tell": ("npu", measured("npu", "unknown", allowed="npu"), "unknown"),
    "a software GPU that took a part": ("gpu", simulated("gpu", "gpu+cpu", {"gpu": CONVS, "cpu": RESIZE}), "cpu+gpu"),
    "a simulator that took nothing": ("npu", simulated("npu", "cpu"), "cpu"),
    "Vela left operators to the CPU": ("npu", estimate({"npu": CONVS, "cpu": RESIZE}), "cpu+npu"),
    "Vela tells of no operator": ("npu", estimate({}), "unknown"),
    "a phone's GPU delegate took nothing": ("gpu", on_phone(REFUSED, "gpu", None), "cpu"),
    "a phone's NNAPI chose the chip itself": ("npu", on_phone(NNAPI + EXPLICIT, "npu", None), "nnapi"),
    "a phone's log says nothing": ("gpu", on_phone("", "gpu", None), "unknown"),
    "LiteRT.js went to WASM": ("gpu", on_page(unit_ran="cpu"), "cpu"),
    "onnxruntime-web shared with WASM": (
        "gpu",
        on_page(unit_ran="gpu+cpu", operators_per_unit={"gpu": CONVS, "cpu": RESIZE}),
        "cpu+gpu",
    ),
    "WebNN does not tell": ("gpu", on_page(unit_ran="unknown", operators_per_unit={"webnn": CONVS}), "unknown+webnn"),
}
KEPT: dict[str, tuple[Unit, Cell]] = {
    "all on the GPU": ("gpu", measured("gpu", "gpu", {"gpu": CONVS})),
    "a runtime that tells no operators": ("gpu", measured("gpu", "gpu")),
    "all on the NPU": ("npu", measured("npu", "npu", {"npu": CONVS, "cpu": {}})),
    "a software GPU": ("gpu", simulated("gpu", "gpu", {"gpu": CONVS})),
    "a compiler that placed all": ("npu", estimate({"npu": CONVS})),
    "an NNAPI accelerator by name": ("npu", on_phone(NNAPI + EXPLICIT, "npu", "qti-dsp")),
    "WebGPU": ("gpu", on_page(unit_ran="gpu", operators_per_unit={"gpu": CONVS})),
    "the CPU": ("cpu", measured("cpu", "cpu")),
}


def row(unit: Unit, cell: Cell, artifact: str = "tflite/int8") -> BenchRow:
    golden = Skipped(artifact, "it is not looked at here")
    return BenchRow(device="host", artifact=artifact, sha256="0" * 64, unit=unit, runner="r", cell=cell, golden=golden)


@pytest.fixture
def failures(make_bundle: Any, tmp_path: Path) -> Any:
    """``failures(unit, *rows)``: what ``bench --require-unit`` finds wrong in rows."""
    bundle: Bundle = make_bundle(tmp_path / "bundle")
    model = BenchedModel(name="n", scale=1, size="dynamic", input_size="8x8", macs=1, weights_sha256="0" * 64)
    plan = BenchPlan(threads=1, runs=1, seconds=0.0)

    def of(unit: str | None, *rows: BenchRow) -> list[str]:
        record = BenchRecord(clearport="0", created="now", model=model, plan=plan, devices=(), rows=rows)
        again = BenchRecord.model_validate_json(record.to_json())
        return BenchOutcome(bundle, again, frozenset()).failures(unit)

    return of


@pytest.mark.parametrize("name", FALLBACKS)
def test_a_fallback_fails_and_names_the_unit_that_ran(name: str, failures: Any) -> None:
    unit, cell, ran = FALLBACKS[name]
    assert failures(unit, row(unit, cell)) == [f"host tflite/int8 {unit} r: requested {unit}, ran on: {ran}"]
    assert failures(None, row(unit, cell)) == []


@pytest.mark.parametrize("name", KEPT)
def test_runs_on_the_requested_unit_pass(name: str, failures: Any) -> None:
    unit, cell = KEPT[name]
    assert failures(unit, row(unit, cell)) == []


def test_one_fallback_among_others_is_enough(failures: Any) -> None:
    good, bad = measured("gpu", "gpu"), measured("gpu", "cpu")
    found = failures("gpu", row("gpu", good, "tflite/fp32"), row("gpu", bad))
    assert found == ["host tflite/int8 gpu r: requested gpu, ran on: cpu"]


def test_pytorch_and_rows_of_other_units_are_not_checked(failures: Any) -> None:
    rows = (row("gpu", measured("gpu", "gpu")), row("gpu", measured("gpu", "cpu"), BASELINE))
    assert failures("gpu", *rows, row("cpu", measured("cpu", "cpu"))) == []


def test_the_reasons_are_reported_where_nothing_ran_on_the_unit(failures: Any) -> None:
    found = failures("npu", row("npu", Skipped("x", "there is no NPU")), row("cpu", measured("cpu", "cpu")))
    assert found == ["nothing ran on the npu: there is no NPU"]
    assert failures("npu", row("cpu", measured("cpu", "cpu"))) == [
        "nothing ran on the npu: no row requested it (--unit npu)"
    ]
