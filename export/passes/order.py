"""The passes that turn what the exporter wrote into clearport's dialect, in order.

Each pass is a module of ``export/passes`` with ``run(graph) -> graph``; the graph is checked after each pass that
changed it.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Graph, Size
from clearport.errors import BadInput, CheckFailed
from clearport.export import origins
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.operators import table

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.graph.feeds import Feed

_SIZE = Size(24, 24)
"""Of comparisons where the graph has none."""

PASSES: tuple[str, ...] = (
    "sizes",  # first: it fixes sizes that shape inference, which runs after the next pass, computes differently
    "fold",  # before the others: later passes match operators and constants, not computations of constants
    "resizes",  # after folding, for constants; before all passes that read factors and sizes
    "normalization",  # after folding: it changes the constants of the first convolutions
    "plain.guards",  # before picks and operators, which make masks finite, and rarer, which writes IsNaN by others
    "plain.picks",  # before reshapes are merged: it creates some
    "plain.rarer",  # before places: it creates an operator for it
    "plain.curves",
    "plain.whole",
    "plain.writes",  # after picks: it needs slices with positive steps
    "plain.places",  # after picks and writes: the remaining indices are computed
    "plain.einsum",  # before reshapes are merged, like those below
    "plain.fourier",
    "plain.deformed",
    "plain.functions",
    "plain.padded",  # before frames and transposed: they read explicit pads
    "plain.frames",  # after functions, which leaves a normalization to it
    "plain.kernels",  # after frames, which turns 1-D into 2-D
    "plain.transposed",  # after frames: 1-D transposed convolutions have become 2-D
    "plain.borders",
    "plain.resampled",
    "gelu",  # before divisions by constants become products
    "channel_shuffle",  # before reshapes are merged: it matches three in a row
    "operators",  # before reshapes are merged: it creates some of its own
    "plain.scalars",  # after operators, which leaves scalars
    "plain.attention.heads",  # after those: they write Slice and Reshape; before axes, for which it leaves fewer
    "plain.axes",  # before reshapes are merged: it creates many
    "plain.known",  # after all passes that create layers
    "reshapes",  # before attributes are made explicit: it creates convolutions and slices
    "canonical",  # before anything reads attributes
    "hoist_clamps",  # before clamps are merged: it makes them adjacent
    "merge_clamps",  # before quantization folds the remaining clamp into a scale
    "depth_to_space",  # after hoisting: no clamps in between to look through
    "names",  # last: it names the remaining nodes
)

_UNCHECKED = frozenset({"sizes"})
"""Passes before constant folding, when shape inference does not know all of the exporter's operators."""

TOLERANCE = 1e-4
"""Maximum change of the outputs by a pass, as a share of their range."""


def run(graph: Graph, compare: bool = False) -> Graph:
    """All passes; with ``compare``, the graph is also run before and after each, and the outputs must be equal.

    Raises:
        BadInput: an output is a constant.
        CheckFailed: a pass changed what the graph computes.
        MalformedGraph: a pass broke the graph.
    """
    before, checked = _Written(graph), False
    check_computed(graph)
    for name in PASSES:
        given = before.graph
        after = importlib.import_module(f"clearport.export.passes.{name}").run(given)
        if checked and before.is_same(after):
            after = replace(after, model=given.model)
            before = _Written(replace(after, history=(*after.history, name)), before.file)
            continue
        check_computed(after)
        checked = name not in _UNCHECKED
        after = graphs.check(after) if checked else after
        if compare:
            _compare(name, given, after)
        before = _Written(replace(after, history=(*after.history, name)))
    return replace(before.graph, origins=origins.of(before.graph))


class _Written:
    """A graph, and its model as bytes once they were asked for."""

    def __init__(self, graph: Graph, file: bytes | None = None) -> None:
        self.graph, self.file = graph, file

    def is_same(self, after: Graph) -> bool:
        """Whether a pass changed nothing, as most do: checking a graph takes far longer than this comparison."""
        before = self.graph
        if (before.inputs, before.outputs) != (after.inputs, after.outputs):
            return False
        if before.model is after.model:
            return True
        self.file = self.file or graphs.to_bytes(before.model)
        return self.file == graphs.to_bytes(after.model)


def check_computed(graph: Graph) -> None:
    """Check that all outputs depend on the inputs' values, not only on constants or sizes.

    Raises:
        BadInput: one does not; file formats cannot express it.
    """
    seen = set(graph.model.graph.inputs)
    for node in graph.model.graph:
        reads = table.of(node).kind != "shape" and seen.intersection(v for v in node.inputs if v is not None)
        if reads or node.op_type == "If":  # whose subgraphs read values that are not listed as inputs
            seen.update(node.outputs)
    for value in graph.model.graph.outputs:
        if value not in seen:
            raise BadInput(
                f"{graph.spec_name}: output {value.name!r} is the same for every input of a size: remove it from the "
                "outputs of the network, and let the app hold it"
            )


def _compare(name: str, before: Graph, after: Graph) -> None:
    feed = feeds.noise(before.inputs, shapes.size_of(before.input) or _SIZE)
    for spec, one, other in zip(before.outputs, evaluate(before, feed), evaluate(after, feed), strict=True):
        error = float(np.abs(one - other).max(initial=0.0))
        whole = spec.span[1] - spec.span[0] if spec.is_picture else float(np.abs(one).max(initial=0.0))
        if not error <= TOLERANCE * whole:
            raise CheckFailed(f"pass {name} changed the network's output {spec.name} by up to {error:g}")


def evaluate(graph: Graph, feed: Feed) -> list[Array]:
    """The graph's outputs, by ONNX Runtime on one thread."""
    opened = graphs.session(graph.model)
    return list(opened.run(None, feed))
