"""Trial export of every file into a temporary folder, with all refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clearport.base import Artifact, Skipped
from clearport.models import samples
from clearport.models.data.layouts import inputs_of
from clearport.models.task_inputs import SEVERAL, as_inputs
from clearport.pictures.images import load_rgb
from clearport.pipeline.files import calibration
from clearport.pipeline.isolated.guarded import forms_of
from clearport.protocols import no_progress
from clearport.quantize.calibration.photos import drawn, middle
from clearport.quantize.flow import QuantizeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Graph, Precision
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.pipeline.isolated.process import Isolated
    from clearport.pipeline.plan import Plan
    from clearport.protocols import Progress
    from clearport.quantized import QuantizedGraph

    Form = QuantizedGraph | Skipped

PHOTOS = 2
"""Number of calibration photos: lint needs to know where int8 files run, not how accurate they are."""


@dataclass(frozen=True)
class Written:
    """Result of a trial export: files, refusals, and the float and quantized graphs."""

    artifacts: tuple[Artifact, ...]
    refused: tuple[Skipped, ...]
    forms: Mapping[Precision, Form]

    def quantized(self, precision: Precision) -> QuantizedGraph | None:
        form = self.forms.get(precision)
        return None if isinstance(form, Skipped) else form


def written(plan: Plan, graph: Graph, isolated: Isolated, folder: Path, progress: Progress) -> Written:
    forms = _forms(plan, graph, isolated, progress)
    artifacts: list[Artifact] = []
    refused: list[Skipped] = []
    for number, cell in enumerate(plan.cells):
        progress("trying every target", number, len(plan.cells))
        form = forms.get(cell.precision)
        if isinstance(form, Skipped):
            refused.append(replace(form, what=f"{cell.target.name}/{cell.precision}"))
            continue
        for row in isolated.lower(cell, graph, form, plan.options, folder):
            if isinstance(row, Skipped):
                refused.append(row)
            else:
                artifacts.append(row)
    return Written(tuple(artifacts), tuple(refused), forms)


def _forms(plan: Plan, graph: Graph, isolated: Isolated, progress: Progress) -> dict[Precision, Form]:
    if not plan.rounded:
        return {}
    progress("quantizing, without a search", 0, 0)
    photos = _photos(plan)
    options = QuantizeOptions(equalization=(0.0,), search=False, compensate=False, task=plan.source.traits.task)
    rounded = plan.source.rounded(graph)
    if rounded is not None:
        options = replace(options, ranges=rounded.ranges, floats=rounded.floats)
    makers: dict[Precision, Callable[[], QuantizedGraph]] = {
        "int8": lambda: plan.source.trained(graph) or isolated.quantize(graph, photos, options),
        "int8-weights": lambda: isolated.round_weights(graph, photos, no_progress),
        "int8a16": lambda: isolated.quantize(graph, photos, replace(options, wide=True)),
    }
    return forms_of(plan.rounded, makers)


def _photos(plan: Plan) -> Sequence[Image8 | Sample]:
    own = plan.request.calibration
    if own is None:
        pixels = [load_rgb(path) for path in samples.calibration()[:PHOTOS]]
        return list(as_inputs(pixels, plan.source.traits.task, plan.size))
    files = calibration.examples(own)[:PHOTOS]
    if files:
        return calibration.samples_of(files, plan.source.traits.inputs, plan.size)
    paths, _ = inputs_of(own, max(1, int(plan.source.traits.scale)))
    photos = [middle(load_rgb(path), plan.size) for path in drawn(paths)[:PHOTOS]]
    task = plan.source.traits.task
    return as_inputs(photos, task) if task in SEVERAL else photos
