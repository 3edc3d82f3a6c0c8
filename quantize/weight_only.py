"""int8 weights for a network that computes in float: smaller files, and no scale of an activation to be found.

Each convolution's weights are rounded to int8, one scale per output channel, with error compensation (``rounding``) on
what the layer sees in photos, so that what the layers before it lost is made up for as far as may be; its bias, which
stays float, takes up what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport import graph_sizes, graphs
from clearport.base import QuantizedGraph, ScaleTable
from clearport.protocols import no_progress
from clearport.quantize import lanes, photos, rounding, scheme, weights
from clearport.quantize.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph, QParams
    from clearport.images import Image8
    from clearport.protocols import Progress


ENOUGH_DB = 48.0
"""On every photo the rounded network shall be so near to the float one: 45 dB are promised, for others, too."""

MOST_FLOAT = 0.15
"""Share of the weights that may stay float to reach that."""

_SIDE = 64
"""Roundings are judged on a corner of so many pixels a side of each photo: they were made on the middles."""


def quantize(graph: Graph, images: Sequence[Image8], progress: Progress = no_progress) -> QuantizedGraph:
    """The graph with the weights of its convolutions on int8 grids, and those grids: nothing else is in the table.

    Each layer loses as little as it can by itself; where that does not reach ``ENOUGH_DB``, it also makes up for what
    the layers before it lost, if that is measured to be better; and where that does not reach it, the layers whose
    rounding costs most for their size stay float. Without ``images`` (uint8 RGB (H, W, 3), any sizes), and for
    transposed convolutions, weights are rounded so that each kernel keeps its sum.

    Raises:
        BadInput: an image is not a picture.
    """
    if not images:
        return _rounded(graph, None, progress)
    free, inputs = photos.prepare(graph, images)
    judge = _Judge(free, inputs)
    crops = rounding.affordable(free, inputs)
    plain = _rounded(graph, _Sights(free, crops, False), progress)
    error, enough = judge.error(plain), judge.allowed(ENOUGH_DB)
    if error <= enough:
        return plain
    moved = _rounded(graph, _Sights(free, crops, True), progress)
    error_moved = judge.error(moved)
    if min(error, error_moved) <= enough:
        return moved if error_moved < error else plain
    floats = _costliest(graph, judge, min(error, error_moved))
    return _rounded(graph, _Sights(free, crops, error_moved < error), progress, floats)


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
        seen = sights.of(node) if sights is not None and node.op_type == "Conv" else None
        changed, entries[name] = _layer(node, seen)
        arrays.update(changed)
        if sights is not None:
            sights.change(changed)
    return QuantizedGraph(weights.replaced(graph, arrays), ScaleTable(entries))


def _layers(graph: Graph) -> list[ir.Node]:
    return [node for node in weights.convolutions(graph) if graphs.constant(graphs.need(node, 1)) is not None]


def _costliest(graph: Graph, judge: _Judge, error: float) -> frozenset[str]:
    """The weights that shall stay float: those whose rounding costs most for their size, until enough is spared.

    What each layer costs is measured with it alone rounded; compensation is taken to spare all of them the same share
    of it. ``error`` is that of the network with all of them rounded.
    """
    nodes = {graphs.name_of(graphs.need(node, 1)): node for node in _layers(graph)}
    costs = {}
    for name, node in nodes.items():
        changed, grid = _layer(node, None)
        alone = QuantizedGraph(weights.replaced(graph, changed), ScaleTable({name: grid}))
        costs[name] = judge.error(alone)
    sizes = {name: graphs.need_constant(node, 1).size for name, node in nodes.items()}
    left, room = sum(costs.values()), MOST_FLOAT * sum(sizes.values())
    enough = judge.allowed(ENOUGH_DB) / error * left
    chosen: list[str] = []
    for name in sorted(costs, key=lambda name: -costs[name] / sizes[name]):
        if left <= enough:
            break
        if sizes[name] <= room:
            chosen.append(name)
            left, room = left - costs[name], room - sizes[name]
    return frozenset(chosen)


class _Judge:
    """Compares a rounded network with the float one, on corners of photos and of the same at half their size."""

    def __init__(self, graph: Graph, inputs: Sequence[Array]) -> None:
        self._graph = graph
        step = graph_sizes.coarsest_stride(graph)
        side = max(1, _SIDE // step) * step if graph.input.dynamic else None
        whole = [*inputs, *photos.halved(graph, inputs)]
        self._corners = [np.ascontiguousarray(image[:, :, :side, :side]) for image in whole]
        self._wanted = self._results(graph)

    def _results(self, graph: Graph) -> list[Array]:
        session: Any = graphs.session(graph.model)
        source = graph.input.name
        return list(lanes.over(lambda image: session.run(None, {source: image})[0], self._corners))

    def error(self, rounded: QuantizedGraph) -> float:
        """The mean squared error of the worst picture."""
        arrays = {
            name: array
            for name, value in rounded.graph.model.graph.initializers.items()
            if (array := graphs.constant(value)) is not None and array.dtype == np.float32
        }
        found = self._results(weights.replaced(self._graph, arrays))
        pairs = zip(found, self._wanted, strict=True)
        return max(float(np.square(got - want, dtype=np.float64).mean()) for got, want in pairs)

    def allowed(self, psnr_db: float) -> float:
        """The mean squared error of a PSNR."""
        low, high = self._graph.output.value_range
        return float((high - low) ** 2 / 10 ** (psnr_db / 10))


class _Sights:
    """What layers see in photos: with the layers before them rounded, and, if asked for, without."""

    def __init__(self, graph: Graph, crops: Sequence[Array], with_real: bool) -> None:
        self._rounded = Stepwise(graph.model, crops)
        self._real = Stepwise(graph.model, crops) if with_real else None
        self._count = rounding.PATCHES // len(crops)

    def of(self, node: ir.Node) -> tuple[Array, Array | None]:
        """Patches (``rounding.draw``) of the rounded network, and at the same places of the real one."""
        source = graphs.name_of(graphs.need(node, 0))

        def patches(network: Stepwise) -> Array:
            generator = np.random.default_rng(0)
            values = network.advance([source])
            return np.concatenate([rounding.draw(node, each[source][0], self._count, generator) for each in values], 2)

        return patches(self._rounded), patches(self._real) if self._real is not None else None

    def change(self, arrays: Mapping[str, Array]) -> None:
        """Other numbers in the rounded network."""
        self._rounded.change(arrays)


def _layer(node: ir.Node, seen: tuple[Array, Array | None] | None) -> tuple[dict[str, Array], QParams]:
    """New numbers for the weights and the bias of a convolution, and the grid of its weights."""
    weight, bias = graphs.need_constant(node, 1), graphs.constant(graphs.operand(node, 2))
    axis = weights.output_axis(node)
    grid = scheme.symmetric(weights.peaks(weight, axis), axis)
    name = graphs.name_of(graphs.need(node, 1))
    if seen is None or bias is None:
        return {name: _on_grid(_keep_sums(_steps(weight, grid)), grid)}, grid
    patches, real = seen
    rounded, taken = rounding.compensated(weight, bias, grid, patches, graphs.attr_int(node, "group", 1), real)
    found = {name: _on_grid(np.rint(_steps(rounded, grid)), grid), graphs.name_of(graphs.need(node, 2)): taken}
    return found, grid


def _steps(weight: Array, grid: QParams) -> Array:
    return np.asarray(weight / scheme.column(grid, weight.ndim))


def _on_grid(levels: Array, grid: QParams) -> Array:
    return scheme.to_real(np.clip(levels, -scheme.WEIGHT_HIGH, scheme.WEIGHT_HIGH), grid)


def _keep_sums(steps: Array) -> Array:
    """Whole numbers near ``steps`` (A, B, kernel height, kernel width) whose sums over kernels are kept within a half.

    Rounded to the nearest, the errors of a kernel's taps add up on even areas, where all taps see the same value.
    The taps that lie nearest to the other side of a half are rounded the other way.
    """
    taps = steps.reshape(*steps.shape[:2], -1)
    near = np.rint(taps)
    lost = taps - near
    missing = np.rint(lost.sum(axis=-1, keepdims=True))  # steps that each kernel's sum is short of
    toward = np.where(missing < 0, -1, 1)
    rank = np.argsort(np.argsort(-lost * toward, axis=-1, kind="stable"), axis=-1)
    kept: Array = near + toward * (rank < np.abs(missing))
    return kept.reshape(steps.shape)
