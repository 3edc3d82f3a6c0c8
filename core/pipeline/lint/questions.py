"""Placements of a file: by its runtime, by the compilers of chips, and by published rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clearport import problems
from clearport.errors import ClearportError, NotInstalled
from clearport.pipeline.lint import on_chips
from clearport.registry import missing
from clearport.runtime.devices.ethosu.chips import CHIPS
from clearport.runtime.devices.ethosu.compile import EXTRA, PACKAGE

if TYPE_CHECKING:
    from clearport.base import Artifact
    from clearport.pipeline.lint.attempts import Written
    from clearport.pipeline.lint.layers import Layers
    from clearport.pipeline.lint.values import Placement
    from clearport.pipeline.plan import Plan
    from clearport.protocols import Progress

    Question = tuple[str, Callable[[], Iterable[Placement]]]


def placements(
    plan: Plan, written: Written, layers: Layers, folder: Path, progress: Progress
) -> tuple[list[Placement], list[str]]:
    """The placements of each file, and the reasons for missing ones."""
    found: list[Placement] = []
    failed: list[str] = []
    shown = [artifact for artifact in written.artifacts if artifact.variant in {"", "tensor"}]
    for number, artifact in enumerate(shown):
        progress("checking runtimes and compilers", number, len(shown))
        for what, ask in _questions(plan, written, artifact, layers, folder):
            try:
                found += ask()
            except (ClearportError, *problems.UNEXPECTED) as error:
                failed.append(f"{artifact.key} on {what}: {' '.join(str(error).split())[:300]}")
    return found, failed


def _questions(plan: Plan, written: Written, artifact: Artifact, layers: Layers, folder: Path) -> Iterator[Question]:
    if artifact.target == "tflite":
        yield "XNNPACK", lambda: [on_chips.on_xnnpack(artifact, layers)]
        yield "the GPU delegate", lambda: [on_chips.on_gpu(artifact, layers)]
        yield "NNAPI", lambda: on_chips.on_nnapi(artifact, layers)
        if artifact.precision == "int8":
            yield from _vela(artifact, layers, folder)
    elif artifact.target == "onnxruntime":
        form = written.quantized(artifact.precision)
        yield (
            "Hexagon and browsers",
            lambda: on_chips.elsewhere(layers.graph, form, artifact, plan.options, layers),
        )
    elif artifact.target == "coreml":
        yield "the Neural Engine", lambda: [on_chips.on_neural_engine(artifact, layers)]


def _vela(artifact: Artifact, layers: Layers, folder: Path) -> Iterator[Question]:
    for name in on_chips.ETHOS_U:
        place = folder / f"vela-{name}"
        yield f"Ethos-{name.upper()}", partial(_of_chip, artifact, name, place, layers)


def _of_chip(artifact: Artifact, name: str, place: Path, layers: Layers) -> list[Placement]:
    if missing((PACKAGE,)):
        raise NotInstalled(PACKAGE, EXTRA)
    return [on_chips.on_ethos_u(artifact, CHIPS[name], place, layers)]
