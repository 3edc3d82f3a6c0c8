"""The files that browsers can run, with runtimes and backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.runtime.devices.browser.wire import Backend, Candidate, Plan, Runner, Unit
from clearport.runtime.latency.stats import LEAST_ROUNDS

if TYPE_CHECKING:
    from clearport.base import Artifact
    from clearport.runtime.latency.record import LatencyPlan

LITERT: Runner = "litert-js"
ONNXRUNTIME: Runner = "onnxruntime-web"

AT_ONCE = 4
"""Maximum number of candidates loaded at the same time and measured interleaved, if memory allows."""

_RUNS: dict[str, tuple[tuple[Runner, Unit, Backend], ...]] = {
    "tflite": ((LITERT, "cpu", "wasm"), (LITERT, "gpu", "webgpu")),
    "onnxruntime": (
        (ONNXRUNTIME, "cpu", "wasm"),
        (ONNXRUNTIME, "gpu", "webgpu"),
        (ONNXRUNTIME, "npu", "webnn"),
    ),
}
TARGETS = tuple(_RUNS)


def candidates_of(artifact: Artifact, url: str, size: int) -> list[Candidate | Skipped]:
    """The candidates of an artifact of ``size`` bytes at ``url``, one per runtime and backend; Skipped with the reason
    if a browser cannot run it."""
    return [
        Skipped(way.what, way.obstacle)
        if way.obstacle or way.runner is None
        else _candidate(artifact, url, size, way.runner, way.unit, way.backend)
        for way in ways_of(artifact)
    ]


@dataclass(frozen=True)
class BrowserWay:
    """A runtime and backend for an artifact; ``obstacle``: the reason that it cannot run there, empty if it can."""

    what: str
    runner: Runner | None
    unit: Unit
    backend: Backend
    obstacle: str


def ways_of(artifact: Artifact) -> list[BrowserWay]:
    """Every runtime and backend for files of the artifact's target; if there is none, one without a runtime."""
    if artifact.target not in _RUNS:
        return [BrowserWay(artifact.key, None, "cpu", "wasm", f"no browser runtime accepts {artifact.target} files")]
    return [
        BrowserWay(f"{artifact.key} {runner} {backend}", runner, unit, backend, _obstacle(artifact, runner, unit))
        for runner, unit, backend in _RUNS[artifact.target]
    ]


def _obstacle(artifact: Artifact, runner: Runner, unit: Unit) -> str:
    if artifact.variant == "ort" and unit != "cpu":
        return "an .ort file is optimized for the CPU: the GPU and WebNN need the .onnx file"
    if runner == LITERT and any(spec.dtype == "int8" for spec in (*artifact.inputs, *artifact.outputs)):
        return "LiteRT.js supports uint8 and float32 inputs only: export with --io uint8"
    if runner == LITERT and any(spec.dynamic for spec in artifact.inputs):
        return "LiteRT.js cannot resize inputs: export with a --size"
    return ""


def _candidate(artifact: Artifact, url: str, size: int, runner: Runner, unit: Unit, backend: Backend) -> Candidate:
    return Candidate(
        key=f"{artifact.key} {runner} {backend}",
        artifact=artifact.key,
        sha256=artifact.sha256,
        runner=runner,
        unit=unit,
        backend=backend,
        url=url,
        bytes=size,
        input=artifact.inputs[0],
        output=artifact.outputs[0],
    )


def plan_of(plan: LatencyPlan) -> Plan:
    """A latency plan in the form for pages."""
    return Plan(
        rounds=plan.rounds,
        least_rounds=min(LEAST_ROUNDS, plan.rounds),
        runs=plan.runs,
        warmup=plan.warmup,
        min_seconds=plan.min_seconds,
        max_seconds=plan.max_seconds,
        threads=plan.threads,
        timeout_s=plan.timeout_s,
        at_once=AT_ONCE,
    )
