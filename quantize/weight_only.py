"""Weight-only int8 for a network that computes in float: smaller files, without activation scales.

Each convolution's weights are rounded to int8, one scale per output channel, with error compensation (``rounding``) on
the layer's inputs on photos, so that errors of earlier layers are compensated as far as possible; its bias, which stays
float, absorbs the rest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.protocols import no_progress
from clearport.quantize import footprint, scheme
from clearport.quantize.calibration import parallel, photos
from clearport.quantize.calibration.stepwise import Stepwise
from clearport.quantize.measure import Measure
from clearport.quantize.placement import cost
from clearport.quantize.placement.floats import is_plain_convolution
from clearport.quantize.weights import arrays as weights
from clearport.quantize.weights import rounding
from clearport.quantized import QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed, Sample
    from clearport.pictures.images import Image8
    from clearport.protocols import Progress
    from clearport.quantized import QParams


ENOUGH_DB = 48.0
"""Required PSNR to the float network on every calibration photo; the limit for other photos is 45 dB."""

AMPLE_DB = 60.0
"""PSNR on every calibration photo from which rounding is not tried again: float16, in which these weights compute, must
keep no more."""

FLAT_DEVIATIONS = 6.3
"""Span of errors in standard deviations of a picture, if less than its range (``feeds.spans``): the limits are 45 dB
of the range and 29 dB of the standard deviation, which are equal at 1 / 6.3 of the range."""

MOST_FLOAT = 0.25
"""Maximum share of float weights to reach that."""

DAMPING = 0.001
"""Less than with int8 activations, whose rounding is part of the layers' inputs."""

MORE_PATCHES = 4
"""Factor of patches if some layers must stay float, where rounding must be as good as possible. They come from whole
photos, also at half and quarter size, where edges are sharper."""

MORE_COST = 1e12
"""Budget (``cost``) of one run on all photos for that: about 25 seconds of one core."""

MOST_PIXELS = 16 * photos.LEAST.height * photos.LEAST.width
"""Maximum pixels of the photos that judge roundings, which is done many times (``photos.spread``)."""

_SIDE = 64
"""Side of the corner crop of each photo, in pixels, for judging roundings, which were made on center crops."""


@parallel.alone()
def quantize(graph: Graph, images: Sequence[Image8 | Sample], progress: Progress = no_progress) -> QuantizedGraph:
    """The graph with convolution weights on int8 grids, and a table of these grids alone.

    Each layer minimizes its own error. If that does not reach ``AMPLE_DB``, it also compensates the errors of earlier
    layers, if measured to be better; and if that does not reach ``ENOUGH_DB``, the layers with the most error for their
    size stay float. Without ``images`` (uint8 RGB (H, W, 3), any sizes), and for transposed convolutions, weights are
    rounded so that each kernel keeps its sum.

    Raises:
        BadInput: an image is not a picture.
    """
    if not images:
        return _rounded(graph, None, progress)
    free, inputs = photos.prepare(graph, photos.spread(images, MOST_PIXELS))
    judge = _Judge(free, inputs)
    crops = rounding.affordable(free, inputs)
    plain = _rounded(graph, _Sights(free, crops, False), progress)
    error = judge.error(plain)
    if error <= judge.allowed(AMPLE_DB):
        return plain
    moved = _rounded(graph, _Sights(free, crops, True), progress)
    error_moved = judge.error(moved)
    if min(error, error_moved) <= judge.allowed(ENOUGH_DB):
        return moved if error_moved < error else plain
    everything = _at_all_sizes(free, inputs) if _work(free, inputs) <= MORE_COST else crops
    sights = partial(_Sights, free, everything, error_moved < error, MORE_PATCHES * rounding.PATCHES)
    return _partly(graph, judge, sights, min(error, error_moved), progress)


def _partly(
    graph: Graph, judge: _Judge, sights: Callable[[], _Sights], error: float, progress: Progress
) -> QuantizedGraph:
    """The graph with the costliest weights in float: as many as needed by measurement, up to the limit.

    ``error`` is that of the network with all of them rounded.
    """
    costs, enough = _costs(graph, judge), judge.allowed(ENOUGH_DB)
    whole = sum(costs.values())
    floats = _costliest(graph, costs, enough / error * whole)
    while True:
        rounded = _rounded(graph, sights(), progress, floats)
        error = judge.error(rounded)
        left = sum(cost for name, cost in costs.items() if name not in floats)
        more = _costliest(graph, costs, enough / error * left) if error > enough else floats
        if more <= floats:
            return rounded
        floats = more


def _rounded(graph: Graph, sights: _Sights | None, progress: Progress, floats: Collection[str] = ()) -> QuantizedGraph:
    """All weights rounded but those named in ``floats``."""
    layers = [node for node in _layers(graph) if graphs.name_of(graphs.need(node, 1)) not in floats]
    arrays: dict[str, Array] = {}
    entries: dict[str, QParams] = {}
    for done, node in enumerate(layers):
        progress("rounding weights alone", done, len(layers))
        name = graphs.name_of(graphs.need(node, 1))
        if name in entries:  # the weights of several layers: the first decides
            continue
        seen = sights.of(node) if sights is not None and is_plain_convolution(node) else None
        changed, entries[name] = _layer(node, seen)
        arrays.update(changed)
        if sights is not None:
            sights.change(changed)
    return QuantizedGraph(weights.replaced(graph, arrays), ScaleTable(entries))


def _at_all_sizes(graph: Graph, inputs: Sequence[Feed]) -> list[Feed]:
    """The photos, also at half and quarter size if the graph accepts them."""
    halves = photos.halved(graph, inputs)
    return [*inputs, *halves, *photos.halved(graph, halves)]


def _work(graph: Graph, inputs: Sequence[Feed]) -> float:
    """Units (``cost``) of one run on every photo."""
    return sum(map(feeds.area, inputs)) * sum(cost.layers(graph).values())


def _layers(graph: Graph) -> list[ir.Node]:
    return [node for node in weights.convolutions(graph) if graphs.constant(graphs.need(node, 1)) is not None]


def _costs(graph: Graph, judge: _Judge) -> dict[str, float]:
    """Error of each layer's weights, rounded alone without compensation, which reduces all by about the same share."""
    costs = {}
    for node in _layers(graph):
        changed, grid = _layer(node, None)
        name = graphs.name_of(graphs.need(node, 1))
        costs[name] = judge.error(QuantizedGraph(weights.replaced(graph, changed), ScaleTable({name: grid})))
    return costs


def _costliest(graph: Graph, costs: Mapping[str, float], enough: float) -> frozenset[str]:
    """The weights to keep float: those with the most error for their size, until the rest is within ``enough``."""
    sizes = {graphs.name_of(graphs.need(node, 1)): graphs.need_constant(node, 1).size for node in _layers(graph)}
    left, room = sum(costs.values()), MOST_FLOAT * sum(sizes.values())
    chosen: list[str] = []
    for name in sorted(costs, key=lambda name: -costs[name] / sizes[name]):
        if left <= enough:
            break
        if costs[name] and sizes[name] <= room:
            chosen.append(name)
            left, room = left - costs[name], room - sizes[name]
    return frozenset(chosen)


class _Judge:
    """Compares a rounded network with the float one, on corners of photos at several sizes."""

    def __init__(self, graph: Graph, inputs: Sequence[Feed]) -> None:
        self._graph = graph
        self._corners = photos.corners(graph, _at_all_sizes(graph, inputs), _SIDE)
        self._memory = footprint.running(graph, self._corners)
        self._wanted = list(parallel.over(self._runner(graph), self._corners, self._memory))
        self._measure = Measure.of(graph, self._wanted, FLAT_DEVIATIONS)

    def _runner(self, graph: Graph) -> Callable[[Feed], list[Array]]:
        session: Any = graphs.session(graph.model)
        return lambda feed: session.run(None, feed)

    def error(self, rounded: QuantizedGraph) -> float:
        """The mean squared error of the worst picture."""
        arrays = {
            name: array
            for name, value in rounded.graph.model.graph.initializers.items()
            if (array := graphs.constant(value)) is not None and array.dtype == np.float32
        }
        run = self._runner(weights.replaced(self._graph, arrays))

        def missed(pair: tuple[Feed, list[Array]]) -> float:
            return self._measure.error(run(pair[0]), pair[1])

        pairs = list(zip(self._corners, self._wanted, strict=True))
        return max(parallel.over(missed, pairs, self._memory))

    def allowed(self, psnr_db: float) -> float:
        """The mean squared error of a PSNR."""
        return self._measure.allowed(psnr_db)


class _Sights:
    """Inputs of layers on photos, with the earlier layers rounded and, on request, without."""

    def __init__(self, graph: Graph, crops: Sequence[Feed], with_real: bool, patches: int = rounding.PATCHES) -> None:
        self._rounded = Stepwise(graph.model, crops)
        self._real = Stepwise(graph.model, crops) if with_real else None
        self._count = patches // len(crops)

    def of(self, node: ir.Node) -> tuple[Array, Array | None]:
        """Patches (``rounding.draw``) of the rounded network, and at the same positions of the float one."""
        source = graphs.name_of(graphs.need(node, 0))

        def patches(network: Stepwise) -> Array:
            generator = np.random.default_rng(0)
            values = network.advance([source])
            return np.concatenate([rounding.draw(node, each[source][0], self._count, generator) for each in values], 2)

        return patches(self._rounded), patches(self._real) if self._real is not None else None

    def change(self, arrays: Mapping[str, Array]) -> None:
        """Replace initializers of the rounded network."""
        self._rounded.change(arrays)


def _layer(node: ir.Node, seen: tuple[Array, Array | None] | None) -> tuple[dict[str, Array], QParams]:
    """Rounded weights and bias of a convolution, and the grid of its weights."""
    weight, bias = graphs.need_constant(node, 1), graphs.constant(graphs.operand(node, 2))
    axis = weights.output_axis(node)
    grid = scheme.symmetric(weights.peaks(weight, axis), axis)
    name = graphs.name_of(graphs.need(node, 1))
    if seen is None or bias is None:
        return {name: _on_grid(_keep_sums(_steps(weight, grid)), grid)}, grid
    patches, real = seen
    group = graphs.attr_int(node, "group", 1)
    rounded, taken = rounding.compensated(weight, bias, grid, patches, group, real, DAMPING)
    found = {name: _on_grid(np.rint(_steps(rounded, grid)), grid), graphs.name_of(graphs.need(node, 2)): taken}
    return found, grid


def _steps(weight: Array, grid: QParams) -> Array:
    return np.asarray(weight / scheme.column(grid, weight.ndim))


def _on_grid(levels: Array, grid: QParams) -> Array:
    return scheme.to_real(np.clip(levels, -scheme.WEIGHT_HIGH, scheme.WEIGHT_HIGH), grid)


def _keep_sums(steps: Array) -> Array:
    """Integers near ``steps`` (A, B, kernel height, kernel width) whose sums over kernels change by at most 0.5.

    With rounding to nearest, the errors of a kernel's taps add up on flat areas, where all taps have the same input.
    The taps closest to a tie are rounded the other way.
    """
    taps = steps.reshape(*steps.shape[:2], -1)
    near = np.rint(taps)
    lost = taps - near
    missing = np.rint(lost.sum(axis=-1, keepdims=True))  # steps missing from each kernel's sum
    toward = np.where(missing < 0, -1, 1)
    rank = np.argsort(np.argsort(-lost * toward, axis=-1, kind="stable"), axis=-1)
    kept: Array = near + toward * (rank < np.abs(missing))
    return kept.reshape(steps.shape)
