"""Predictions, from a file alone, for accelerators that this machine lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.bundle.manifest import LintFinding
from clearport.graph import shapes
from clearport.runtime.tiling import Tiling

if TYPE_CHECKING:
    from clearport.base import Artifact, Graph
    from clearport.export.tflite.lint.nnapi import NnapiReport
    from clearport.pipeline.sources.source import Traits

RULE = "nnapi"
HALF_RULE = "float16-arithmetic"
TILES = "tiles"


def lint(artifact: Artifact, graph: Graph) -> tuple[LintFinding, ...]:
    """NNAPI's support of a TFLite file, Core ML's units, and the error of float16 arithmetic in fp16 files.

    ``graph`` is the float graph that the artifact was written from.
    """
    return (*_in_half(artifact, graph), *_by_target(artifact))


def _in_half(artifact: Artifact, graph: Graph) -> list[LintFinding]:
    """Core ML files need no finding: operators that exceed float16 compute in float32 there."""
    from clearport.export.half_arithmetic import measured
    from clearport.export.openvino.target import in_float32

    if artifact.precision != "fp16" or artifact.target == "coreml":
        return []
    found = measured(graph)
    if found.fits:
        said = f"in float16 arithmetic, as on GPUs, it is {found.psnr_db:.1f} dB from float32 (emulated)"
        return [LintFinding(level="note", rule=HALF_RULE, message=said)]
    said = f"proven in float32 arithmetic; in float16, as GPUs compute fp16 files, {found} (emulated): "
    marked = in_float32(artifact.path) if artifact.target == "openvino" else 0
    said += f"{marked} of its layers are marked to be computed in float32; " if marked else ""
    said += "let the GPU compute in float32, or use fp32 or int8"
    return [LintFinding(level="warning", rule=HALF_RULE, message=said)]


def _by_target(artifact: Artifact) -> tuple[LintFinding, ...]:
    if artifact.target == "coreml" and artifact.precision in {"fp32", "int8"}:
        said = (
            "it computes in float32, which Core ML runs on CPU and GPU; for the Neural Engine use fp16 or int8-weights"
        )
        return (LintFinding(level="note", rule="neural-engine", message=said),)
    if artifact.target == "coreml":
        return tuple(_in_float32(artifact))
    if artifact.target != "tflite":
        return ()
    from clearport.export.tflite.lint import nnapi
    from clearport.export.tflite.lint.levels import describe, predict
    from clearport.export.tflite.lint.nnapi import API_LEVELS

    report = nnapi.lint(artifact.path)
    levels = (LintFinding(level="note", rule=RULE, message=describe(predict(report))),)
    if report.api_level is not None:
        said = (
            f"NNAPI is predicted to support all {len(report.findings)} operators from API level {report.api_level} on, "
        )
        said += f"in {_parts(report.partitions(report.api_level))}"
        return (LintFinding(level="note", rule=RULE, message=said), *levels)
    return (*_left_on_the_cpu(report, API_LEVELS[-1]), *levels)


def tiles(artifact: Artifact, network: Traits) -> tuple[LintFinding, ...]:
    """Findings on pictures larger than the fixed size of a file."""
    source = shapes.lead(artifact.inputs)
    if len(source.shape) != 4 or not shapes.lead(artifact.outputs).is_picture:
        return ()
    cutting = Tiling.of(network, network.scale, source, network.crop)
    if cutting.size is None:
        return ()
    if cutting.uncuttable:
        said = (
            f"pictures larger than {cutting.size} cannot be tiled for it: the receptive field reaches {network.halo} "
            f"pixels to each side, more than a tile has; "
            f"--size {cutting.larger()} restores pictures of any size"
        )
        return (LintFinding(level="warning", rule=TILES, message=said),)
    if network.whole_picture:
        said = (
            f"the receptive field is global: pictures larger than {cutting.size} are processed in tiles that may "
            "differ in tone; export with the --size of the pictures to avoid tiles"
        )
        return (LintFinding(level="note", rule=TILES, message=said),)
    return ()


def _in_float32(artifact: Artifact) -> list[LintFinding]:
    from clearport.export.coreml.target import FLOAT32_KEY
    from clearport.runtime.coreml_reference.program import read

    said = read(artifact.path).metadata.get(FLOAT32_KEY)
    return [LintFinding(level="note", rule="neural-engine", message=said)] if said else []


def _left_on_the_cpu(report: NnapiReport, api_level: int) -> list[LintFinding]:
    said = f"NNAPI is predicted to get {_parts(report.partitions(api_level))} at API level {api_level}"
    findings = [LintFinding(level="warning", rule=RULE, message=said)]
    for refused in report.refused(api_level):
        message = f"{refused.op} version {refused.version} ({refused.dtype}) stays on the CPU: {refused.reason}"
        findings.append(LintFinding(level="warning", rule=RULE, message=message, layer=str(refused.index)))
    return findings


def _parts(count: int) -> str:
    return "one part" if count == 1 else f"{count} parts"
