"""A manifest with devices of every kind: a phone that was lost, an NPU's compiler, and an emulated processor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clearport.base import Skipped
from clearport.bundle.bench_record import BenchedDevice, BenchRow
from clearport.bundle.manifest import Manifest
from clearport.runtime.devices.device import EstimateReport, Fallback, SimulatedReport
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.latency.record import LatencyReport

LOST = "the cable was pulled"


def bench_row(device: str, artifact: str, cell: Any, golden: Any = None, runner: str = "litert") -> BenchRow:
    golden = golden or Skipped(artifact, "nothing ran")
    return BenchRow(
        device=device, artifact=artifact, sha256="0" * 64, unit="npu", runner=runner, cell=cell, golden=golden
    )


def with_devices(made: Manifest) -> Manifest:
    """``made`` as if ``bench --record`` had been there; its figures are made up."""
    proven = next(a for a in made.artifacts if a.key == "tflite/int8")
    assert isinstance(proven.latency, LatencyReport)
    timed = replace(proven.latency, unit_asked="npu", unit_ran="npu", ratio=None)
    estimate = EstimateReport(
        kind="compiler-estimate",
        tool="Vela",
        tool_versions={"ethos-u-vela": "5.2.0"},
        chip="Arm Ethos-U55",
        unit_asked="npu",
        estimated_ms=131.25,
        npu_ms=130.0,
        fallback_ms=1.25,
        cycles=1,
        operators_per_unit={"npu": {"CONV_2D": 9}, "cpu": {"RESIZE_BILINEAR": 1}},
        fallbacks=(Fallback("RESIZE_BILINEAR", "up", "its factor is 3", 1.25),),
        memory_bytes={"sram": 2_000_000},
        warnings=("no board has that much SRAM",),
    )
    simulated = SimulatedReport("simulated", "litert", {}, "QEMU emulates it", "cpu", "cpu")
    rows = (
        bench_row("phone", "tflite/int8", timed, proven.parity),
        bench_row("phone", "tflite/fp32", replace(timed, unit_ran="cpu"), proven.parity),
        bench_row("phone", "coreml/fp16/image", Skipped("x", LOST)),
        bench_row("phone", "coreml/fp32/tensor", Skipped("y", LOST)),
        bench_row("npu", "tflite/int8", estimate, runner="vela"),
        bench_row("arm", "tflite/int8", simulated, proven.parity),
    )
    facts = {"model": "Phone 9", "memory_mib": 7957, "android": "15"}
    cool, warm = (Conditions(temperatures_c={"skin": degrees}) for degrees in (31.0, 38.0))
    devices = (
        BenchedDevice(address="phone", facts=facts, before=cool, after=warm, lost=LOST),
        BenchedDevice(address="npu", facts={}, before=Conditions(), after=Conditions()),
        BenchedDevice(address="arm", facts={}, before=Conditions(), after=Conditions()),
    )
    return made.model_copy(update={"devices": devices, "device_rows": rows})
