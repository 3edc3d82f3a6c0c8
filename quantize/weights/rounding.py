"""Error-compensated rounding of convolution weights (GPTQ, arXiv 2210.17323; the order of columns as there).

A convolution is a matrix product with the patches of its input. The weights of a filter are rounded one after another;
each rounding error on real patches is compensated by the weights not yet rounded, and finally by the unrounded bias:
this includes bias correction (arXiv 1906.04721). The patches come from photos, through the already quantized layers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.protocols import no_progress
from clearport.quantize import qdq, scheme
from clearport.quantize.calibration import photos
from clearport.quantize.calibration.stepwise import Stepwise
from clearport.quantize.placement import cost
from clearport.quantize.placement.floats import is_plain_convolution
from clearport.quantize.weights import arrays as weights
from clearport.quantized import QParams, QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed
    from clearport.protocols import Progress

PATCHES = 6_000
"""Patches per layer, over all photos."""

DAMPING = 0.01
"""Added to the diagonal of the Hessian, as a share of its mean."""

_BLOCK = 8192
"""Patches per partial sum of moments: all patches of a deep network's layer would need a gigabyte in float64."""

_SIDES = (128, 96, 64)
"""Crop side of each photo, in pixels, for drawing patches, if the graph can run at it."""

COST = 1e10
"""Budget (``cost``) of running the quantized network."""

PIXELS = 37_000
"""The minimum number of pixels: four crops of 96x96."""

FEWEST = 4
"""The minimum number of photos: compensation fitted to fewer does not generalize (IAT, whose photos cannot be
cropped)."""


@dataclass(frozen=True)
class Rounded:
    """Replacement initializers, on their grids, and the parameters of these grids."""

    arrays: Mapping[str, Array]
    entries: Mapping[str, QParams]


def run(
    graph: Graph,
    activations: Mapping[str, QParams],
    inputs: Sequence[Feed],
    progress: Progress = no_progress,
    *,
    on_grid: bool = False,
    earlier: bool = False,
) -> Rounded:
    """Round all constants of the int8 operators of a folded graph; its convolutions in order.

    Each is rounded on patches from the earlier, rounded layers; ``earlier``: so that it also compensates their errors,
    which pays where every layer is int8 (RLFN x4 loses 0.89 dB of Set5 instead of 1.05) and not if the worst ones are
    float (0.19 instead of 0.12). Transposed convolutions are rounded to nearest, as is everything without ``inputs``.
    ``on_grid``: weights already on 8-bit grids stay.
    """
    arrays: dict[str, Array] = {}
    entries: dict[str, QParams] = {}
    layers = [node for node in weights.convolutions(graph) if graphs.name_of(node.outputs[0]) in activations]
    prefix = _Prefix(graph, activations, inputs, earlier=earlier) if inputs else None
    any_wide = any(params.dtype == "uint16" for params in activations.values())
    for done, node in enumerate(layers):
        progress("rounding weights", done, len(layers))
        source = activations[graphs.name_of(graphs.need(node, 0))]
        patches = prefix.patches(node) if prefix is not None and is_plain_convolution(node) else None
        rounded = layer(node, source, patches, on_grid=on_grid)
        if prefix is not None:
            prefix.change(rounded.arrays)
        arrays.update(rounded.arrays)
        entries.update(rounded.entries)
    for value, array in weights.constants(graph, activations):
        name = graphs.name_of(value)
        grid = scheme.symmetric(np.abs(array).max(), None)
        entries[name] = scheme.wide(grid) if any_wide else grid
        arrays[name] = scheme.snapped(array, entries[name])
    return Rounded(arrays, entries)


def regridded(graph: Graph, activations: Mapping[str, QParams], rounded: Rounded) -> Rounded | None:
    """The rounded arrays, with biases updated for changed input scales; None if a bias overflows."""
    arrays, entries = dict(rounded.arrays), dict(rounded.entries)
    for node in weights.convolutions(graph):
        source, kernel, bias = (graphs.name_of(graphs.need(node, index)) for index in range(3))
        if kernel not in entries or source not in activations:
            continue
        shared = len(arrays[bias]) // len(entries[kernel].scale)
        params = scheme.bias(activations[source], QParams(entries[kernel].scale * shared, 0, "int8", 0))
        if params != entries[bias]:
            if np.abs(arrays[bias] / scheme.column(params, 1)).max() > scheme.most_bias(activations[source]):
                return None
            arrays[bias], entries[bias] = scheme.snapped(arrays[bias], params), params
    return Rounded(arrays, entries)


def affordable(graph: Graph, inputs: Sequence[Feed]) -> list[Feed]:
    """Crops of the photos on which one run costs at most ``COST``, down to the minimum of pixels."""
    work = sum(cost.layers(graph).values())
    most = max(COST, PIXELS * work)
    for side in _SIDES:
        crops = photos.cropped(graph, inputs, side)
        price = sum(map(feeds.area, crops)) * work
        if price <= most:
            return crops
    count = min(len(crops), max(FEWEST, int(most / price * len(crops))))
    return [crops[index * len(crops) // count] for index in range(count)]


class _Prefix:
    """The partially rounded network, run on crops of the photos."""

    def __init__(
        self, graph: Graph, activations: Mapping[str, QParams], inputs: Sequence[Feed], *, earlier: bool
    ) -> None:
        crops = affordable(graph, inputs)
        self._network = Stepwise(qdq.simulated(QuantizedGraph(graph, ScaleTable(activations))), crops)
        # Clamps are part of the ranges: the network without rounding has them, in steps too fine to matter.
        fine = {name: scheme.wide(each) if each.dtype == "int8" else each for name, each in activations.items()}
        exact = QuantizedGraph(graph, ScaleTable(fine))
        self._exact = Stepwise(qdq.simulated(exact), crops) if earlier else None
        self._count = PATCHES // len(crops)
        self._generator = np.random.default_rng(0)

    def patches(self, node: ir.Node) -> tuple[Array, Array | None]:
        """Input patches of a convolution (``draw``), and at the same positions those without rounding."""
        source = graphs.need(node, 0)
        # In the QDQ model the rounded value of an output has taken over the output's name.
        name = graphs.name_of(source) if source.is_graph_output() else f"{graphs.name_of(source)}.real"
        again = copy.deepcopy(self._generator)
        own = self._drawn(node, name, self._network, self._generator)
        return own, self._drawn(node, name, self._exact, again) if self._exact is not None else None

    def _drawn(self, node: ir.Node, name: str, network: Stepwise, generator: np.random.Generator) -> Array:
        values = network.advance([name])
        return np.concatenate([draw(node, each[name][0], self._count, generator) for each in values], axis=2)

    def change(self, arrays: Mapping[str, Array]) -> None:
        """Replace constants of layers that have not run yet."""
        self._network.change(arrays)


def layer(
    node: ir.Node, source: QParams, patches: tuple[Array, Array | None] | None, *, on_grid: bool = False
) -> Rounded:
    """Round one convolution; to nearest without patches.

    Args:
        source: the parameters of the convolution's input.
        patches: real values (input channels, kernel height x width, patches), and those without earlier rounding.
        on_grid: see ``run``.
    """
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    top = weights.own_top(weight, weights.output_axis(node)) if on_grid else None
    grid, bias_grid = weights.params(node, source, top)
    if patches is not None:
        group = graphs.attr_int(node, "group", 1)
        weight, bias = compensated(weight, bias, grid, patches[0], group, patches[1])
    names = [graphs.name_of(graphs.need(node, index)) for index in (1, 2)]
    snapped = (scheme.snapped(weight, grid), scheme.snapped(bias, bias_grid))
    return Rounded(dict(zip(names, snapped, strict=True)), dict(zip(names, (grid, bias_grid), strict=True)))


def compensated(
    weight: Array,
    bias: Array,
    grid: QParams,
    patches: Array,
    group: int,
    real: Array | None = None,
    damping: float = DAMPING,
) -> tuple[Array, Array]:
    """The weights (output channels first) on their grid and the matching bias, float64.

    With ``real`` (the same patches without earlier rounding), weights are first adjusted so that their outputs on
    ``patches`` match those on ``real``: earlier errors are compensated, too (arXiv 2504.02692).
    """
    filters = weight.reshape(group, len(weight) // group, -1)
    scales = np.asarray(grid.scale).reshape(group, -1)
    rows = np.concatenate([filters, bias.reshape(group, -1, 1)], axis=2).astype(np.float64)
    taps = patches.reshape(group, -1, patches.shape[2])
    wanted = taps if real is None else real.reshape(taps.shape)
    for index in range(group):
        seen = taps[index]
        hessian = _moments(seen, seen)
        if real is not None:
            rows[index] = _moved(rows[index], hessian, _moments(wanted[index], seen), damping)
        rows[index] = compensate(rows[index], hessian, scales[index], damping)
    return rows[:, :, :-1].reshape(weight.shape), rows[:, :, -1].reshape(bias.shape)


def _moments(one: Array, other: Array) -> Array:
    """(K, N) taps, twice -> (K+1, K+1) second moments; the last of each is the bias, a tap with constant input 1."""
    size = len(one) + 1
    total = np.zeros((size, size))  # float64: with float32 sums the inverse of the moments has no Cholesky factor
    for first in range(0, one.shape[1], _BLOCK):
        part = slice(first, first + _BLOCK)
        ones = np.ones((1, one[:, part].shape[1]))
        left = np.concatenate([one[:, part], ones])
        right = left if other is one else np.concatenate([other[:, part], ones])
        total += left @ right.T  # for a product with itself BLAS computes only half
    return np.asarray(total / one.shape[1])


def _moved(rows: Array, hessian: Array, cross: Array, damping: float) -> Array:
    """The rows (filters, K+1) whose outputs on rounded taps best match those of ``rows`` on the real ones.

    ``hessian``: second moments of the rounded taps; ``cross``: moments of the real with the rounded taps.
    """
    return np.asarray(rows + np.linalg.solve(_damped(hessian, damping), (rows @ (cross - hessian)).T).T)


def _damped(hessian: Array, damping: float) -> Array:
    """The Hessian damped on its diagonal so that it is invertible; hardly at all for the bias."""
    count = len(hessian) - 1
    added = damping * np.diag(hessian)[:count].mean() + 1e-12
    return np.asarray(hessian + np.diag(np.append(np.full(count, added), 1e-9 * added)))


def compensate(rows: Array, hessian: Array, scales: Array, damping: float = DAMPING) -> Array:
    """Round (filters, K+1) rows to multiples of their scales, except the last column, which absorbs the remaining
    error.

    ``hessian`` is (K+1, K+1). Columns are processed by energy, largest first.
    """
    count = rows.shape[1] - 1
    order = np.append(np.argsort(-np.diag(hessian)[:count], kind="stable"), count)
    factor = np.linalg.cholesky(np.linalg.inv(_damped(hessian, damping)[np.ix_(order, order)])).T
    work = rows[:, order].copy()
    for column in range(count):
        levels = np.clip(np.rint(work[:, column] / scales), -scheme.WEIGHT_HIGH, scheme.WEIGHT_HIGH)
        lost = (work[:, column] - levels * scales) / factor[column, column]
        work[:, column] = levels * scales
        work[:, column + 1 :] -= np.outer(lost, factor[column, column + 1 :])
    result = np.empty_like(work)
    result[:, order] = work
    return result


def draw(node: ir.Node, value: Array, count: int, generator: np.random.Generator) -> Array:
    """(C, H, W) -> (C, kernel, count): the convolution's input at random output positions, padding included."""
    kernel_h, kernel_w = graphs.need_constant(node, 1).shape[2:]
    (step_h, step_w), (dilation_h, dilation_w) = (
        graphs.attr_ints(node, name, (1, 1)) for name in ("strides", "dilations")
    )
    top, left, bottom, right = graphs.attr_ints(node, "pads", (0, 0, 0, 0))
    padded = np.pad(value, ((0, 0), (top, bottom), (left, right)))
    rows = (padded.shape[1] - dilation_h * (kernel_h - 1) - 1) // step_h + 1
    columns = (padded.shape[2] - dilation_w * (kernel_w - 1) - 1) // step_w + 1
    y, x = generator.integers(rows, size=count) * step_h, generator.integers(columns, size=count) * step_w
    taps = [padded[:, y + i * dilation_h, x + j * dilation_w] for i in range(kernel_h) for j in range(kernel_w)]
    return np.stack(taps, axis=1)
