"""Core AI: an ``.aimodel`` by Apple's ``coreai.authoring``, which succeeds Core ML in iOS and macOS 27.

Precisions: ``fp32``, ``fp16`` and ``int8`` (weights and activations, from the scale table; computed in float32 between
quantization steps). int8 files have inputs and outputs of type ``--io``, all others float32. Apple's own runtime for
Linux proves them, on the CPU; this does not cover GPU and Neural Engine.

Of networks with RGB pictures there is also an image variant of a fixed size: ``main`` takes and returns 32-bit BGRA
images, as the camera has them, and calls the function ``tensors`` of the same file, which takes and returns their
pixels. The proof runs ``tensors``: what Apple's runtime for Linux lacks is only the view of an image as its pixels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import clearport
from clearport.base import Artifact, Graph, Options, Precision, Skipped
from clearport.disk.files import atomic_path, digest
from clearport.errors import BadInput, NotInstalled
from clearport.export.coreai import beta
from clearport.export.coreai.lowering import COMPUTE
from clearport.export.coreai.program import Plan, convert
from clearport.export.coreai.sums import spoiled
from clearport.export.coreml.fp32_fallback import choose, extended
from clearport.export.passes.plain import ranks, recurrent, sampling
from clearport.export.written import described
from clearport.graph import shapes
from clearport.quantized import TargetGraph
from clearport.registry import installed_versions, missing

_WORDS: dict[Precision, str] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8 weights and activations"}


@dataclass(frozen=True)
class CoreAI:
    """The target; see the module."""

    name: str = "coreai"
    title: str = "Core AI"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    requires: tuple[str, ...] = (beta.PACKAGE,)

    def unavailable(self) -> str | None:
        """Why this system does not support the packages in ``requires``, or None."""
        return beta.unusable()

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write ``<network>_x<scale>_<precision>.aimodel/``, and the image variant ``..._image.aimodel/``.

        Raises:
            UnsupportedOperator: the graph holds an operator without a conversion rule.
            BadInput: the graph was made for another size than ``options.size``, or the folder cannot be written.
            NotInstalled: coreai-core is missing.
            RuntimeFailure: another version of it is installed, which raised.
        """
        if missing(self.requires):
            raise NotInstalled(missing(self.requires)[0], self.name)
        if form.precision not in self.precisions:
            return [Skipped(f"{self.name}/{form.precision}", f"Core AI is written as {', '.join(self.precisions)}")]
        _check_size(form.graph, options)
        graph = ranks.run(sampling.run(recurrent.run(form.graph)), every=True)
        half = COMPUTE[form.precision] is np.float16
        fallback = extended(choose(form.graph), form.graph, graph).names | spoiled(graph) if half else frozenset[str]()
        plan = Plan(graph, form.precision, options.io, form.table, fallback)
        with_images, refusal = replace(plan, images=True), _without_images(plan)
        with beta.version_named():
            return [_lower(plan, folder), refusal or _lower(with_images, folder)]


def _without_images(plan: Plan) -> Skipped | None:
    """Why there is no image variant."""
    what = f"{TARGET.name}/{plan.precision}/{beta.IMAGE}"
    if not plan.pictures:
        return Skipped(what, "no input or output is an RGB picture, the only kind that Core AI's images hold here")
    if any(spec.dynamic for spec in plan.pictures):
        return Skipped(what, "Core AI's images have a fixed size: give --size")
    return None


def _lower(plan: Plan, folder: Path) -> Artifact:
    variant = beta.IMAGE if plan.images else ""
    path = folder / f"{'_'.join(filter(None, (plan.graph.stem, plan.precision, variant)))}.aimodel"
    inputs, outputs = (tuple(map(plan.contract, specs)) for specs in (plan.graph.inputs, plan.graph.outputs))
    program = convert(plan)
    with atomic_path(path) as temporary:
        made = temporary / path.name  # the package accepts no other suffix
        temporary.mkdir()
        beta.save(program, _about(plan, json.dumps(described(inputs, outputs), sort_keys=True)), made)
        for part in tuple(made.iterdir()):
            part.rename(temporary / part.name)
        made.rmdir()
    versions = {name: found for name, found in installed_versions(TARGET.requires).items() if found}
    return Artifact(TARGET.name, plan.precision, path, digest(path), inputs, outputs, versions, variant)


def _about(plan: Plan, contract: str) -> beta.About:
    graph, known = plan.graph, plan.graph.credits
    facts = {
        "clearport.version": clearport.__version__,
        "clearport.network": graph.spec_name,
        "clearport.scale": str(graph.scale),
        "clearport.precision": plan.precision,
        "clearport.pixel_contract": contract,
        "clearport.minimum_os": f"iOS {beta.LEAST_OS}, macOS {beta.LEAST_OS}",
    }
    if plan.images:
        facts[beta.VARIANT_KEY] = beta.IMAGE
    what = f"{graph.spec_name} x{graph.scale}, {_WORDS[plan.precision]}"
    return beta.About(
        author=(f"{known['paper']} ({known['url']}); " if "paper" in known else "") + "exported by clearport",
        license=known.get("license", ""),
        description=f"{what}; {known['task']}" if known else what,
        facts=facts,
    )


def _check_size(graph: Graph, options: Options) -> None:
    """A fixed-size graph results in a file for that size."""
    made = shapes.size_of(graph.input)
    if made is not None and options.size != made:
        asked = options.size or "any size"
        raise BadInput(f"the graph was made for {made} and cannot be written for {asked}: export it again")


TARGET = CoreAI()
