"""The value ranges of a network's inputs and outputs, and whether they are pictures or maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clearport.graph import feeds, shapes
from clearport.models import samples
from clearport.pictures.images import load_rgb
from clearport.pictures.probe import probe_picture
from clearport.pipeline.goldens import fit
from clearport.pipeline.sources import ranges
from clearport.runtime.tolerance import MOST_CLIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph, Kind, Size, TensorSpec
    from clearport.pictures.images import Image8
    from clearport.pipeline.sources.contract import Contract
    from clearport.pipeline.sources.measure import Candidate, Growth

    Specs = tuple[TensorSpec, ...]

_PHOTOS = 3


def found_of(
    candidate: Candidate, graph: Graph, main: TensorSpec, probe: Size, contract: Contract, growth: Growth | None
) -> tuple[ranges.Found, ranges.Found]:
    """The ranges of the input and output picture."""
    picture = shapes.lead(candidate.inputs)
    told = [ranges.Found(spec.value_range, "as the file or you say") for spec in (picture, main)]
    said = [
        any(end.range is not None and end.name in {"", spec.name} for end in ends)
        for spec, ends in ((picture, contract.inputs), (main, contract.outputs))
    ]
    if all(said):
        return told[0], told[1]
    if not picture.is_picture:
        return _without_picture(told, said, graph, main)
    photos = [load_rgb(path) for path in samples.calibration()[:_PHOTOS]]
    at_size = shapes.at(candidate.inputs, probe)

    def feed(photo: Image8, span: tuple[float, float]) -> dict[str, Array]:
        ranged = [replace(s, value_range=span) if s.is_picture else s for s in at_size]
        return feeds.feed_of(ranged, feeds.sample_of(ranged, fit(photo, probe)))

    def restore(index: int, span: tuple[float, float]) -> Array:
        return candidate.run(feed(photos[index], span))[main.name]

    shown = [_seen(feed(photo, ranges.UNIT)[picture.name], growth) for photo in photos]
    index = next(i for i, spec in enumerate(graph.outputs) if spec.name == main.name)
    last = ranges.at_output(graph, index) if not said[1] else told[1]
    taken, given = ranges.from_photos(shown, restore, last.range if last else None)
    made = replace(last, picture=given.picture) if last else given
    if made.picture and made.range is not None and not said[1]:
        source = told[0] if said[0] else ranges.at_input(graph) or taken
        shots = [*photos, load_rgb(samples.golden()), probe_picture(probe)]
        made = _within(made, [candidate.run(feed(shot, source.range or ranges.UNIT))[main.name] for shot in shots])
    measured = (ranges.at_input(graph) or taken, made)
    return (told[0] if said[0] else measured[0]), (told[1] if said[1] else measured[1])


def _without_picture(
    told: Sequence[ranges.Found], said: Sequence[bool], graph: Graph, main: TensorSpec
) -> tuple[ranges.Found, ranges.Found]:
    """The ranges of a network without an input picture, which photos cannot determine."""
    taken = told[0] if said[0] else replace(told[0], why="assumed: it has no input picture")
    last = ranges.at_output(graph, [spec.name for spec in graph.outputs].index(main.name))
    plain = ranges.Found(None, "none: it has no input picture, and no operator implies a range", picture=False)
    return taken, told[1] if said[1] else last or plain


def _seen(photo: Array, growth: Growth | None) -> Array:
    """The part of a photo that an output covers: all but a border for unpadded windows."""
    border = int(growth.crop / (2 * growth.scale)) if growth is not None and growth.crop > 0 else 0
    return photo[:, :, border:-border, border:-border] if border else photo


def _within(found: ranges.Found, outputs: Sequence[Array]) -> ranges.Found:
    """The found range, without a picture if clipping to the range would change the values."""
    lost = max(ranges.clipped(output, found.range or ranges.UNIT) for output in outputs)
    if lost <= MOST_CLIPPED:
        return found
    low, high = found.range or ranges.UNIT
    said = f"treated as a map: clipping it to {low:g}..{high:g} would lose {lost:.0%}; a contract can override this"
    return ranges.Found(None, said, picture=False)


def with_ranges(ends: Specs, main: TensorSpec, told: ranges.Found, graph: Graph, said: set[str]) -> Specs:
    """Outputs with the found ranges; those in the contract keep its declarations."""
    found = []
    for index, spec in enumerate(ends):
        if spec is main:
            found.append(_as_told(spec, replace(told, picture=True) if spec.name in said else told))
        else:
            found.append(spec if spec.name in said else _beside(spec, graph, index, main))
    return tuple(found)


def _beside(spec: TensorSpec, graph: Graph, index: int, picture: TensorSpec) -> TensorSpec:
    """An output besides the main one: a picture if its last operator implies a range, else a map."""
    if not spec.is_picture:
        return spec
    found = ranges.at_output(graph, index)
    kind: Kind = "picture" if found is not None and spec.channels == picture.channels else "map"
    return replace(spec, kind=kind, value_range=found.range if found else None)


def _as_told(spec: TensorSpec, found: ranges.Found) -> TensorSpec:
    """An output with its range; one that does not resemble the photo is a map."""
    if not spec.is_picture:
        return spec
    return replace(spec, kind="picture" if found.picture and found.range else "map", value_range=found.range)
