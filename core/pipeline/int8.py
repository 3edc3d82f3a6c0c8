"""Calibration photos of an export, and the quantization of its graph on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from clearport.disk.files import digest
from clearport.errors import BadInput
from clearport.models import samples
from clearport.models.data.layouts import inputs_of
from clearport.models.task_inputs import SEVERAL, as_inputs, described
from clearport.pictures.images import load_rgb
from clearport.pipeline.files import calibration
from clearport.quantize.calibration.photos import drawn, middle
from clearport.quantize.flow import QuantizeOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Graph, Prefer, Size
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.pipeline.isolated.process import Isolated
    from clearport.pipeline.plan import Plan
    from clearport.protocols import Progress
    from clearport.quantized import QuantizedGraph, ScaleTable


class Photos(NamedTuple):
    """Calibration photos: their files, pixels, and the number that they were drawn from."""

    paths: list[Path]
    pixels: Sequence[Image8 | Sample]
    found: int = 0


def quantize(
    plan: Plan,
    graph: Graph,
    photos: Photos,
    isolated: Isolated,
    progress: Progress,
    *,
    wide: bool = False,
    bounds: bool = False,
) -> QuantizedGraph:
    """The quantized graph of a plan; its record names the photos. ``wide``, ``bounds``: see ``QuantizeOptions``."""
    options = QuantizeOptions(
        task=plan.source.traits.task, prefer=plan.request.prefer, wide=wide, bounds=bounds, progress=progress
    )
    rounded = plan.source.rounded(graph)
    if rounded is not None:  # its own scales form the table: nothing is searched
        options = replace(
            options, equalization=(0.0,), search=False, compensate=False, ranges=rounded.ranges, floats=rounded.floats
        )
    quantized = isolated.quantize(graph, photos.pixels, options)
    own = plan.request.calibration
    about = {
        **quantized.table.calibration,
        **({"calibrator": "the scales of the file"} if rounded is not None else {}),
        "source": plan.request.calibrated_on or _source(photos) if own else described(plan.source.traits.task),
        "images": [{"name": path.name, "sha256": digest(path)} for path in photos.paths],
    }
    return replace(quantized, table=replace(quantized.table, calibration=about))


def trained(plan: Plan, graph: Graph, progress: Progress) -> QuantizedGraph | None:
    """The int8 form that was trained with the weights; None where there is none, so that photos decide.

    Raises:
        BadInput: it is another network's, or options ask for what was decided when it was trained.
    """
    found = plan.source.trained(graph)
    if found is None:
        return None
    check_decided(found.table, plan.request.prefer, plan.request.calibration)
    progress("int8 as it was trained with the weights (clearport train --qat)", 0, 0)
    return found


def check_decided(table: ScaleTable, prefer: Prefer, calibration: Path | None) -> None:
    """Whether options leave alone what was decided when a form was trained.

    Raises:
        BadInput: they do not.
    """
    decided = table.calibration["prefer"]
    if calibration is not None or prefer not in {"balanced", decided}:
        option = "--calibration" if calibration is not None else f"--prefer {prefer}"
        raise BadInput(
            f"{option}: the weights hold an int8 form that was trained with ranges of its own and --prefer {decided}; "
            "leave the option out, or train from the float weights with it (clearport train --qat)"
        )


def _source(photos: Photos) -> str:
    of = f"{len(photos.paths)} of the {photos.found} photos of " if len(photos.paths) < photos.found else ""
    return f"{of}the folder given with --calibration"


def photos_of(plan: Plan, progress: Progress) -> Photos:
    """The calibration photos, if needed; bundled ones are degraded like the task's inputs."""
    if not plan.rounded:
        return Photos([], [])
    progress("reading the calibration pictures", 0, 0)
    own = plan.request.calibration
    if own is not None and (files := calibration.examples(own)):
        chosen = drawn(files)
        inputs = plan.source.traits.inputs
        return Photos(chosen, calibration.samples_of(chosen, inputs, plan.size), len(files))
    paths, found = inputs_of(own, max(1, int(plan.source.traits.scale))) if own else (samples.calibration(), "")
    if found:
        progress(f"calibration pictures: {found}", 0, 0)
    if own is None:
        pixels = as_inputs([load_rgb(path) for path in paths], plan.source.traits.task, plan.size)
        return Photos(paths, pixels, len(paths))
    chosen, photos = _read(paths, plan.size, progress)
    task = plan.source.traits.task
    return Photos(chosen, as_inputs(photos, task) if task in SEVERAL else photos, len(paths))


def _read(paths: Sequence[Path], size: Size | None, progress: Progress) -> tuple[list[Path], list[Image8]]:
    """A sample of the photos, loaded one by one; of each, only the part used for calibration is kept."""
    chosen = drawn(paths)
    stage = f"reading {len(chosen)} of {len(paths)} calibration pictures"
    pixels = []
    for done, path in enumerate(chosen):
        progress(stage, done, len(chosen))
        pixels.append(middle(load_rgb(path), size))
    return chosen, pixels
