"""Analysis of a network without a description: its inputs and outputs, and its tiling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Graph, Size, TensorSpec
from clearport.errors import BadInput
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.models.cost import Cost
from clearport.models.normalized import order
from clearport.operators.sizes import coarsest_stride, output_steps
from clearport.pipeline.sources import contract as contracts
from clearport.pipeline.sources import cutting, indices, measure, ranges, spans
from clearport.pipeline.sources.contract import Contract
from clearport.pipeline.sources.source import Traits
from clearport.quantize.placement.cost import macs

if TYPE_CHECKING:
    from clearport.base import Array, Kind
    from clearport.pipeline.sources.measure import Candidate

    Specs = tuple[TensorSpec, ...]
    Build = Callable[[Sequence[TensorSpec], Sequence[TensorSpec]], Graph]

COLORS = {1: "Y", 3: "RGB", 4: "RAW"}


@dataclass(frozen=True)
class Description:
    """The results of the analysis.

    Attributes:
        traits: sizes, scale, receptive field; inputs and outputs with ``H`` and ``W`` for dynamic sides.
        tried: two sizes that a network of dynamic size accepts.
        how: decision -> its basis, in words.
    """

    traits: Traits
    tried: tuple[Size, ...]
    how: Mapping[str, str]

    def sized(self, size: Size | None) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs for a size, or for any."""
        return shapes.at(self.traits.inputs, size), shapes.at(self.traits.outputs, size)


@np.errstate(invalid="ignore", over="ignore")  # the values of a network may be infinite or NaN: checked, not warned of
def described(
    candidate: Candidate, outputs: Sequence[str], name: str, *, free: bool, contract: Contract, build: Build
) -> Description:
    """Determine a network's inputs and outputs.

    Args:
        candidate: the network; its inputs have no ranges yet.
        outputs: names of its outputs.
        name: its name if the contract has none.
        free: whether it declares dynamic sizes.
        contract: the user's contract, which is trusted.
        build: builds its graph from inputs and outputs of fixed sizes.

    Raises:
        BadInput: it has no picture input, accepts no size that is tried, is not deterministic, or the contract does not
            fit it.
    """
    picture = _picture_of(candidate.inputs)
    found = measure.sizes(candidate) if free else None
    own = None if free else fixed_size(candidate.inputs)
    probe = own or _probe_size(found)
    run = measure.remembered(candidate.run)
    given = run(candidate.filled(probe))
    measure.check_repeatable(candidate, probe, given)
    made = [_output(key, given[key], found) for key in outputs]
    guessed = _states([_input(spec, picture) for spec in candidate.inputs], made)
    inputs = contracts.applied(guessed[0], contract.inputs, "input")
    ends = contracts.applied(guessed[1], contract.outputs, "output")
    main = shapes.lead(ends)
    plain = measure.Candidate(contract.name or name, inputs, _plainly(run, inputs))
    graph = build(shapes.at(inputs, probe), shapes.at(ends, probe))
    inputs, numbers = indices.with_rows(plain, graph, probe, contract.inputs)
    plain = measure.Candidate(plain.name, inputs, plain.run)
    growth = None if picture is None else _growth(main, given[main.name].shape, probe, found, graph)
    taken, told = spans.found_of(plain, graph, main, probe, contract, growth)
    inputs = tuple(replace(s, value_range=taken.range or ranges.UNIT) if s.is_picture else s for s in inputs)
    said = {end.name or main.name for end in contract.outputs if end.kind or end.range}
    ends = _framed(spans.with_ranges(ends, main, told, graph, said), said, given, probe, growth)
    known = measure.Candidate(plain.name, inputs, plain.run)
    reach = cutting.reach(known, graph, main.name, probe, growth)
    multiple = math.lcm(found.multiple if found else 1, coarsest_stride(graph), contract.tiles.multiple or 1)
    least = max(found.least if found else 1, contract.tiles.least_side or 1)
    if found is not None and growth is not None:
        reach = cutting.tiled(known, reach, main.name, multiple, least, growth)
    elif "by changing" in reach.how:  # at a fixed size, tiles cannot be compared with the whole picture
        reach = replace(reach, halo=max(reach.halo, cutting.OVERLAP), whole=True)
    if own is not None and (own.height % multiple or own.width % multiple):  # its stride does not divide its own size
        multiple = math.gcd(multiple, own.height, own.width)
        reach = replace(reach, whole=True)
    traits = Traits(
        name=plain.name,
        task=contract.task or "other",
        scale=growth.scale if growth else 1,
        halo=reach.halo if contract.tiles.halo is None else contract.tiles.halo,
        whole_picture=reach.whole if contract.tiles.whole_picture is None else contract.tiles.whole_picture,
        size_multiple=multiple,
        least_side=-(-least // multiple) * multiple if found else 1,
        license=contract.license or "not stated",
        paper=contracts.paper_of(contract),
        size=own,
        inputs=inputs,
        outputs=ends,
        crop=growth.crop if growth else 0,
    )
    how = {"input range": taken.why, "output range": told.why, "reach": reach.how} | numbers
    return Description(traits, found.tried if found else (), how)


def cost_of(graph: Graph, size: Size) -> Cost:
    """Parameters and multiply-accumulates of a graph for one input of ``size``."""
    constants = [graphs.constant(value) for value in graph.model.graph.initializers.values()]
    params = sum(array.size for array in constants if array is not None and array.dtype == np.float32)
    return Cost(params, int(sum(macs(graph).values()) * size.height * size.width), size)


def _plainly(run: measure.Run, inputs: Sequence[TensorSpec]) -> measure.Run:
    """A network for plain pictures, which are converted to its mean, standard deviation and color order."""

    def plainly(given: Mapping[str, Array]) -> dict[str, Array]:
        return run({spec.name: _wanted(spec, given[spec.name]) for spec in inputs})

    return plainly


def _wanted(spec: TensorSpec, value: Array) -> Array:
    channels = order(spec)
    ordered = value if channels is None else value[:, channels]
    mean, std = (np.array(v or (d,), np.float32).reshape(-1, 1, 1) for v, d in ((spec.mean, 0.0), (spec.std, 1.0)))
    return np.ascontiguousarray((ordered - mean) / std if spec.mean or spec.std else ordered)


def _picture_of(inputs: Sequence[TensorSpec]) -> TensorSpec | None:
    """The input that determines a network's size: the first with the axes of a picture."""
    return next((spec for spec in inputs if len(spec.shape) == 4 and spec.dtype == "float32"), None)


def fixed_size(inputs: Sequence[TensorSpec]) -> Size:
    """The size of a fixed-size network: its picture's, else its frames', 1x1 if it has neither."""
    picture = _picture_of(inputs) or next((spec for spec in inputs if len(spec.shape) == feeds.CLIP), None)
    sides = [] if picture is None else [n for n in picture.shape[-2:] if isinstance(n, int)]
    return Size(*sides) if len(sides) == 2 else Size(1, 1)


def _probe_size(found: measure.Sizes | None) -> Size:
    """The size at which a network of dynamic size is measured: the tried one, made even."""
    assert found is not None
    side = -(-measure.SIDE // found.multiple) * found.multiple
    return found.tried[0] if found.least > side else Size(side, side)


def _input(spec: TensorSpec, picture: TensorSpec | None) -> TensorSpec:
    kind, color = _kind(spec.shape, spec.dtype)
    if picture is None:
        return replace(spec, kind=kind, value_range=ranges.UNIT if len(spec.shape) == feeds.CLIP else spec.value_range)
    if spec is picture:
        return replace(spec, kind="picture", color=COLORS.get(spec.channels or 0, "RAW"), value_range=ranges.UNIT)
    if kind == "picture" and (spec.shape[2:] != picture.shape[2:] or spec.channels != picture.channels):
        kind = "map"
    if kind == "picture":
        return replace(spec, color=color, value_range=ranges.UNIT)
    return replace(spec, kind=kind)


def _growth(
    main: TensorSpec, shape: Sequence[int], probe: Size, found: measure.Sizes | None, graph: Graph
) -> measure.Growth | None:
    """Scale of the main output; None if it does not grow with the picture, or height and width scale differently."""
    if len(main.shape) != 4 or tuple(shape[2:]) == (1, 1):
        return None
    steps = output_steps(graph, [spec.name for spec in graph.outputs].index(main.name))
    height, width = found.grown[main.name] if found is not None else measure.growth_at(shape, probe, steps)
    return height if height == width and height.scale > 0 else None


def _framed(
    ends: Specs, said: set[str], given: Mapping[str, Array], probe: Size, growth: measure.Growth | None
) -> Specs:
    """Outputs whose first picture has the network's scale; others before it are maps.

    Raises:
        BadInput: the contract declares a picture without that scale.
    """
    grown = () if growth is None else (growth.of(probe.height), growth.of(probe.width))
    found, first = [], True
    for end in ends:
        spec = end
        if spec.is_picture and first and given[spec.name].shape[2:] != grown:
            if spec.name in said:
                shown = "x".join(map(str, given[spec.name].shape[2:]))
                raise BadInput(
                    f"the contract calls output {spec.name!r} a picture, but for {probe} it has {shown} pixels: "
                    "height and width scale differently; declare it as a map"
                )
            spec = replace(spec, kind="map", value_range=None)
        first = first and not spec.is_picture
        found.append(spec)
    return tuple(found)


def _output(name: str, array: Array, found: measure.Sizes | None) -> TensorSpec:
    kind, color = _kind(array.shape, str(array.dtype))
    dtype = "float32" if array.dtype.kind == "f" else str(array.dtype)
    spec = TensorSpec(name, array.shape, dtype=dtype, kind=kind, color=color, value_range=None)
    if kind == "picture":
        spec = replace(spec, value_range=ranges.UNIT)
    if found is None or name not in found.grown:
        return spec
    sides = [
        shapes.symbol(growth.scale, of, growth.crop) if growth.scale else side
        for growth, side, of in zip(found.grown[name], array.shape[2:], "HW", strict=True)
    ]
    return replace(spec, shape=(*array.shape[:2], *sides))


def _kind(shape: Sequence[int | str], dtype: str) -> tuple[Kind, str]:
    """The kind of a tensor as far as its shape determines it, and its color format."""
    if dtype != "float32":
        return "index", ""
    if len(shape) == 4:
        channels = shape[1]
        return ("picture", COLORS[channels]) if channels in COLORS else ("map", "")
    return ("scalar", "") if all(n == 1 for n in shape) else ("vector", "")


def _states(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> tuple[Specs, Specs]:
    """Map inputs and outputs of equal shapes, in order, are recurrent states."""
    given = [spec for spec in outputs if spec.kind == "map"]
    pairs: dict[str, str] = {}
    for spec in (s for s in inputs if s.kind == "map"):
        match = next((g for g in given if g.shape == spec.shape and g.name not in pairs.values()), None)
        if match is not None:
            pairs[spec.name] = match.name
    taken = tuple(replace(s, kind="state") if s.name in pairs else s for s in inputs)
    return taken, tuple(replace(s, kind="state") if s.name in pairs.values() else s for s in outputs)
