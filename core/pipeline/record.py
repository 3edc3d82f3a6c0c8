"""The results of an export, as the manifest of its bundle."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clearport import __version__
from clearport.base import Artifact, Graph, Size, Skipped
from clearport.bundle import folder as bundle
from clearport.bundle.manifest import (
    ArtifactRecord,
    BaselineRecord,
    GoldenRecord,
    HostRecord,
    Manifest,
    ModelRecord,
    PaperRecord,
    PixelContract,
    QuantizationRecord,
)
from clearport.pipeline.latency import BASELINE
from clearport.pipeline.lint.artifact import tiles
from clearport.pipeline.prove import runner_of
from clearport.quantized import QuantizedGraph
from clearport.registry import installed_versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clearport.bundle.manifest import LintFinding
    from clearport.bundle.replays import ReplayRecord
    from clearport.pipeline.latency import Latencies
    from clearport.pipeline.plan import Plan
    from clearport.runtime.parity import ParityReport
    from clearport.runtime.steps.report import StepsReport

SCHEME = (
    "weights int8 symmetric per output channel, activations int8 asymmetric per tensor (uint8 twin for ONNX Runtime "
    "and OpenVINO), bias int32; images at the exact scale of a pixel; clamps folded into output scales"
)
TOOLS = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "openvino", "coremltools", "ai-edge-litert", "numpy")


@dataclass(frozen=True)
class Made:
    """The written files: the graph, the network itself, the scale table, the artifacts, and the skipped ones.

    ``lint`` has an entry for each artifact's key.
    """

    graph: Graph
    network: Artifact
    quantized: QuantizedGraph | None
    artifacts: tuple[Artifact, ...]
    skipped: tuple[Skipped, ...]
    lint: Mapping[str, tuple[LintFinding, ...]]


@dataclass(frozen=True)
class Proven:
    """An artifact with its parity by the first runner, and by the others, the judged outputs, and its steps."""

    artifact: Artifact
    parity: ParityReport | Skipped
    cross_checks: tuple[ParityReport | Skipped, ...]
    replays: tuple[ReplayRecord, ...] = ()
    steps: tuple[StepsReport, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The contents of the manifest, besides the plan."""

    made: Made
    proven: tuple[Proven, ...]
    goldens: tuple[GoldenRecord, ...]
    golden_size: Size
    latencies: Latencies


def manifest_of(plan: Plan, found: Findings, folder: Path, table: str, reference: str) -> Manifest:
    """The manifest for ``folder``; ``table`` and ``reference`` are files in it."""
    quantized = found.made.quantized
    runtime, _ = runner_of(found.made.network)
    version = installed_versions((runtime,))[runtime] or "unknown"
    return Manifest(
        model=_model(plan, found),
        pixel_contract=PixelContract(inputs=found.made.graph.inputs, outputs=found.made.graph.outputs),
        artifacts=tuple(_artifact(plan, p, found, folder) for p in found.proven),
        skipped=found.made.skipped,
        goldens=found.goldens,
        quantization=_quantization(quantized, table, reference) if quantized else None,
        baseline=BaselineRecord(runtime=runtime, version=version, latency=found.latencies.reports[BASELINE]),
        tool_versions={"clearport": __version__, **{k: v for k, v in installed_versions(TOOLS).items() if v}},
        host=_host(found.latencies),
    )


def _model(plan: Plan, found: Findings) -> ModelRecord:
    from clearport.disk.files import file_sha256

    traits, about, network = plan.source.traits, plan.source.about(), found.made.network.path
    counted = plan.source.cost(found.golden_size)
    paper = traits.paper
    return ModelRecord(
        name=traits.name,
        task=traits.task,
        scale=traits.scale,
        params=counted.params,
        macs=counted.macs,
        macs_size=str(counted.size),
        weights_sha256=file_sha256(network),
        reference=network.name,
        license=about.license,
        paper=PaperRecord.of(paper) if paper else None,
        halo=traits.halo,
        whole_picture=traits.whole_picture,
        size_multiple=traits.size_multiple,
        size=str(plan.size or "dynamic"),
        card=about.card,
        crop=traits.crop,
    )


def _artifact(plan: Plan, proven: Proven, findings: Findings, folder: Path) -> ArtifactRecord:
    artifact = proven.artifact
    record = bundle.record(artifact, folder, proven.parity, findings.latencies.reports[artifact.key])
    said = (*tiles(artifact, plan.source.traits), *findings.made.lint[artifact.key])
    found = {"cross_checks": proven.cross_checks, "lint": said, "replays": proven.replays, "steps": proven.steps}
    return record.model_copy(update=found)


def _quantization(quantized: QuantizedGraph, table: str, reference: str) -> QuantizationRecord:
    about = quantized.table.calibration
    images = about["images"]
    listing = "".join(f"{image['sha256']}  {image['name']}\n" for image in images)
    return QuantizationRecord(
        scheme=SCHEME,
        calibrator=str(about["calibrator"]),
        islands=dict(about["islands"]),
        float_layers=(*about["tail"], *about["float_layers"]),
        float_share=about["float_share"],
        simulated_psnr_db=about["simulated_psnr_db"],
        simulated_loss_db=about["simulated_loss_db"],
        images=len(images),
        images_sha256=hashlib.sha256(listing.encode()).hexdigest(),
        table=table,
        reference=reference,
    )


def _host(latencies: Latencies) -> HostRecord:
    import psutil

    return HostRecord(
        cpu=latencies.host.cpu,
        cores=latencies.host.cores,
        governor=latencies.host.governor,
        load_start=latencies.host.load_start,
        load_end=latencies.host.load_end,
        memory_mib=psutil.virtual_memory().total >> 20,
        machine=platform.machine(),
        system=platform.platform(terse=True),
        python=platform.python_version(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
