"""Core ML: an ``.mlpackage`` by coremltools' MIL Builder, with tensors or RGB pictures as inputs and outputs.

Precisions: ``fp32``, ``fp16``, ``int8`` (weights and activations, from the scale table; computed in float32 between
quantization steps, see ``coreml.lowering.COMPUTE``) and ``int8-weights`` (weights only, rounded on photos,
``weight_only``; computed in fp16). The Neural Engine runs ``fp16`` and ``int8-weights``. Each has its minimum iOS in
the metadata. Nothing here needs macOS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

import clearport
from clearport.base import Artifact, Options, Precision, Skipped, TensorSpec, scale_word
from clearport.disk.files import digest
from clearport.export.coreml.fp32_fallback import NOTHING, choose, extended
from clearport.export.coreml.lowering import COMPUTE
from clearport.export.coreml.package import Description, write
from clearport.export.coreml.program import LARGEST, SMALLEST, Plan, Variant, converted
from clearport.export.passes.plain import ranks, recurrent, sampling
from clearport.quantized import TargetGraph
from clearport.registry import installed_versions

FLOAT32_KEY = "clearport.float32_operators"
"""Metadata key for the operators that compute in float32, with the reason."""

_FREE_SIZE = "free input size: Core ML may not use the Neural Engine; for speed export the one size that is used"
_FLOAT32 = "computed in float32: Core ML does not use the Neural Engine; for speed use fp16 or int8-weights"
_WORDS: dict[Precision, str] = {
    "fp32": "fp32",
    "fp16": "fp16",
    "int8": "int8 weights and activations",
    "int8-weights": "int8 weights, fp16 activations",
}


@dataclass(frozen=True)
class CoreML:
    """The target; see the module."""

    name: str = "coreml"
    title: str = "Core ML"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-weights")
    requires: tuple[str, ...] = ("coremltools",)

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write both variants of one precision: ``<network>_x<scale>_<precision>_<tensor|image>.mlpackage``.

        The tensor variant has float32 inputs and outputs, pictures as (1, C, H, W) in the network's range. The image
        variant has RGB and gray pictures as Core ML images, described as uint8 (1, H, W, C), everything else as
        float32.

        Raises:
            UnsupportedOperator: the graph holds an operator without a conversion rule.
            NotInstalled: coremltools is missing.
            BadInput: the folder cannot be written.
        """
        del options  # the size is the graph's; inputs and outputs have one of Core ML's two types
        fallback = choose(form.graph) if COMPUTE[form.precision] is np.float16 else NOTHING
        plans = [Plan(form.graph, form.precision, v, form.table, fallback) for v in get_args(Variant)]
        return [_lower(plan, folder) if plan.possible else _without_pictures(plan) for plan in plans]


def _without_pictures(plan: Plan) -> Skipped:
    what = f"{TARGET.name}/{plan.precision}/{plan.variant}"
    return Skipped(what, "no input or output is an RGB or gray picture, the only kinds of Core ML's image type")


def _lower(plan: Plan, folder: Path) -> Artifact:
    plan = _with_look_ups(plan)
    graph = plan.graph
    path = folder / f"{graph.stem}_{plan.precision}_{plan.variant}.mlpackage"
    with converted(plan) as model:
        write(model, _description(plan), path)
    return Artifact(
        target=TARGET.name,
        precision=plan.precision,
        path=path,
        sha256=digest(path),
        inputs=tuple(_contract(spec, plan) for spec in graph.inputs),
        outputs=tuple(_contract(spec, plan) for spec in graph.outputs),
        tool_versions={name: found or "" for name, found in installed_versions(TARGET.requires).items()},
        variant=plan.variant,
    )


def _with_look_ups(plan: Plan) -> Plan:
    """The graph without 3-D sampling and TopK indices, which Core ML lacks; their replacements compute in float32."""
    graph = ranks.run(sampling.of_clips(recurrent.run(plan.graph), cubic=True))
    if graph is plan.graph:
        return plan
    return replace(plan, graph=graph, fallback=extended(plan.fallback, plan.graph, graph))


def _contract(spec: TensorSpec, plan: Plan) -> TensorSpec:
    """The contract of the artifact's tensor: images hold levels 0..255, whatever the network's range."""
    if spec.kind == "index":
        return replace(spec, dtype="int32")
    if not plan.as_picture(spec):
        return spec
    return replace(spec.with_dtype("uint8", 1.0, 0, "NHWC"), value_range=(0.0, 255.0))


def _description(plan: Plan) -> Description:
    graph, known = plan.graph, plan.graph.credits
    low, high = graph.input.value_range or (-np.inf, np.inf)
    facts = {
        "clearport.version": clearport.__version__,
        "clearport.network": graph.spec_name,
        "clearport.scale": str(graph.scale),
        "clearport.precision": plan.precision,
        "clearport.variant": plan.variant,
        "clearport.value_range": f"{low:g}..{high:g}",
        "clearport.minimum_deployment_target": f"iOS{plan.ios}",
    }
    return Description(
        short=f"{graph.spec_name} x{graph.scale}, {_WORDS[plan.precision]}" + (f"; {known['task']}" if known else ""),
        author=(f"{known['paper']} ({known['url']}); " if "paper" in known else "") + "exported by clearport",
        license=known.get("license", ""),
        version=clearport.__version__,
        inputs={spec.name: _input_words(plan, spec) for spec in graph.inputs},
        outputs={spec.name: _output_words(plan, spec) for spec in graph.outputs},
        facts=facts | _note(plan),
    )


def _input_words(plan: Plan, spec: TensorSpec) -> str:
    if not spec.is_picture:
        return _words(spec)
    what = f"{spec.color} picture"
    if not plan.as_picture(spec):
        low, high = spec.span
        what = f"float32 (1, {spec.channels}, height, width), {spec.color}, {low:g} (black) to {high:g}"
    elif spec.dynamic:
        what += f", {SMALLEST} to {LARGEST} pixels high and wide"
    return f"what to restore: {what}"


def _output_words(plan: Plan, spec: TensorSpec) -> str:
    if not spec.is_picture:
        return _words(spec)
    times = f", {scale_word(plan.graph.scale)} times as high and wide" if plan.graph.scale > 1 else ""
    return f"restored: the same kind{times}"


def _words(spec: TensorSpec) -> str:
    shape = " x ".join(map(str, spec.shape)) or "one number"
    return f"{spec.kind}, {shape}" + (
        f", {spec.value_range[0]:g} to {spec.value_range[1]:g}" if spec.value_range else ""
    )


def _note(plan: Plan) -> dict[str, str]:
    """The reasons that keep Core ML off the Neural Engine."""
    reasons = [_FLOAT32] if COMPUTE[plan.precision] is np.float32 else []
    if plan.graph.input.dynamic:
        reasons.append(_FREE_SIZE)
    said = {"clearport.note": "; ".join(reasons)} if reasons else {}
    return said | ({FLOAT32_KEY: plan.fallback.reason} if plan.fallback.reason else {})


TARGET = CoreML()
