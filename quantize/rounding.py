"""Error-compensated rounding of convolution weights (GPTQ, arXiv 2210.17323; the order of columns as there).

A convolution is a matrix product with the patches of its input. The weights of a filter are rounded one after another,
and what each rounding loses on real patches is made up for by those not yet rounded, and at last by the bias, which is
not rounded at all: this includes bias correction (arXiv 1906.04721). The patches come from photos, through the layers
that are already quantized.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport import graphs
from clearport.base import QuantizedGraph, ScaleTable
from clearport.quantize import calibrate, cost, photos, qdq, scheme, weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from clearport.base import Array, Graph, QParams

PATCHES = 20_000
"""Patches per layer, over all photos."""

_DAMPING = 0.01
"""Added to the diagonal of the Hessian, as a share of its mean."""

_SIDES = (128, 96, 64)
"""Patches are drawn from a crop of so many pixels a side of each photo, where the graph can run on it."""

_GENERATIONS = (24, 12, 6)
"""How often the quantized prefix of the network is run again; in deeper networks several layers share a run."""

COST = 4e11
"""Units (``cost``) that all those runs may take: about 10 seconds of one core."""


@dataclass(frozen=True)
class Rounded:
    """New numbers for initializers, on their grids, and the parameters of those grids."""

    arrays: Mapping[str, Array]
    entries: Mapping[str, QParams]


def run(graph: Graph, activations: Mapping[str, QParams], inputs: Sequence[Array]) -> Rounded:
    """Round all constants of the int8 operators of a folded graph; its convolutions in order.

    Each is rounded on patches from the layers before it. Transposed convolutions are rounded to nearest, and so is
    everything where there are no ``inputs``.
    """
    arrays: dict[str, Array] = {}
    entries: dict[str, QParams] = {}
    layers = [node for node in weights.convolutions(graph) if graphs.name_of(node.outputs[0]) in activations]
    crops, generations = _affordable(graph, inputs) if inputs else ([], _GENERATIONS[0])
    step = -(-len(layers) // generations)
    for start in range(0, len(layers), max(1, step)):
        batch = layers[start : start + step]
        patches = _patches(graph, ScaleTable({**activations, **entries}), arrays, batch, crops) if crops else {}
        for node in batch:
            source = activations[graphs.name_of(graphs.need(node, 0))]
            rounded = layer(node, source, patches.get(node.name or ""))
            arrays.update(rounded.arrays)
            entries.update(rounded.entries)
    for value, array in weights.constants(graph, activations):
        name = graphs.name_of(value)
        entries[name] = scheme.symmetric(np.abs(array).max(), None)
        arrays[name] = scheme.snapped(array, entries[name])
    return Rounded(arrays, entries)


def _affordable(graph: Graph, inputs: Sequence[Array]) -> tuple[list[Array], int]:
    """Crops of the photos and a number of generations, which together cost no more than ``COST``."""
    work = sum(cost.layers(graph).values())
    for generations in _GENERATIONS:
        for side in _SIDES:
            crops = photos.cropped(graph, inputs, side)
            # A generation runs the network up to its layers: half of it on average.
            if sum(x.shape[2] * x.shape[3] for x in crops) * work / 2 * generations <= COST:
                return crops, generations
    share = COST / (sum(x.shape[2] * x.shape[3] for x in crops) * work / 2 * generations)
    return crops[: max(1, int(share * len(crops)))], generations


def layer(node: ir.Node, source: QParams, patches: Array | None) -> Rounded:
    """Round one convolution; to nearest where there are no patches.

    Args:
        source: the parameters of the convolution's input.
        patches: real values (input channels, kernel height x width, patches).
    """
    weight, bias = graphs.need_constant(node, 1), graphs.need_constant(node, 2)
    grid, bias_grid = weights.params(node, source)
    if patches is not None:
        weight, bias = _compensate(weight, bias, grid, patches, graphs.attr_int(node, "group", 1))
    names = [graphs.name_of(graphs.need(node, index)) for index in (1, 2)]
    snapped = (scheme.snapped(weight, grid), scheme.snapped(bias, bias_grid))
    return Rounded(dict(zip(names, snapped, strict=True)), dict(zip(names, (grid, bias_grid), strict=True)))


def _compensate(weight: Array, bias: Array, grid: QParams, patches: Array, group: int) -> tuple[Array, Array]:
    filters = weight.reshape(group, len(weight) // group, -1)
    scales = np.asarray(grid.scale).reshape(group, -1)
    rows = np.concatenate([filters, bias.reshape(group, -1, 1)], axis=2).astype(np.float64)
    taps = patches.reshape(group, -1, patches.shape[2])
    for index in range(group):
        rows[index] = compensate(rows[index], _hessian(taps[index]), scales[index])
    return rows[:, :, :-1].reshape(weight.shape), rows[:, :, -1].reshape(bias.shape)


def _hessian(taps: Array) -> Array:
    """(K, N) taps -> (K+1, K+1) second moments; the last row and column stand for the bias, a tap that is always 1."""
    extended = np.concatenate([taps, np.ones((1, taps.shape[1]), taps.dtype)])
    return np.asarray((extended @ extended.T).astype(np.float64) / taps.shape[1])


def compensate(rows: Array, hessian: Array, scales: Array) -> Array:
    """Round (filters, K+1) rows to multiples of their scales, except the last column, which takes up what is left.

    ``hessian`` is (K+1, K+1). Columns go in the order of their energy, largest first.
    """
    count = rows.shape[1] - 1
    energy = np.diag(hessian)[:count]
    damping = _DAMPING * energy.mean() + 1e-12
    order = np.append(np.argsort(-energy, kind="stable"), count)
    damped = hessian + np.diag(np.append(np.full(count, damping), 1e-9 * damping))
    factor = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    work = rows[:, order].copy()
    for column in range(count):
        levels = np.clip(np.rint(work[:, column] / scales), -scheme.WEIGHT_HIGH, scheme.WEIGHT_HIGH)
        lost = (work[:, column] - levels * scales) / factor[column, column]
        work[:, column] = levels * scales
        work[:, column + 1 :] -= np.outer(lost, factor[column, column + 1 :])
    result = np.empty_like(work)
    result[:, order] = work
    return result


def _patches(
    graph: Graph, table: ScaleTable, arrays: Mapping[str, Array], batch: Sequence[ir.Node], inputs: Sequence[Array]
) -> dict[str, Array]:
    """Layer name -> float32 (input channels, kernel, patches) drawn from the quantized activations."""
    wanted = [node for node in batch if node.op_type == "Conv"]
    model = qdq.to_qdq(QuantizedGraph(weights.replaced(graph, arrays), table))
    names = list(dict.fromkeys(f"{graphs.name_of(graphs.need(node, 0))}.real" for node in wanted))
    exposed = calibrate.Exposed(model, graph.input.name, names)
    drawn: dict[str, list[Array]] = {node.name or "": [] for node in wanted}
    generator = np.random.default_rng(0)
    for image in inputs:
        values = exposed.run(image)
        for node in wanted:
            value = values[f"{graphs.name_of(graphs.need(node, 0))}.real"]
            drawn[node.name or ""].append(_draw(node, value[0], PATCHES // len(inputs), generator))
    return {name: np.concatenate(parts, axis=2) for name, parts in drawn.items()}


def _draw(node: ir.Node, value: Array, count: int, generator: np.random.Generator) -> Array:
    """(C, H, W) -> (C, kernel, count): what the convolution sees at random output positions, padding included."""
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
