"""The passes that turn what the exporter wrote into clearport's dialect, in order.

Each pass is a module ``pass_<name>`` with ``run(graph) -> graph``; the graph is checked after each that changed it.
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
    "sizes",  # first: shapes are inferred after the next pass, and this is about what inference counts otherwise
    "fold",  # before the others: the later passes look for operators and constants, not for what computes them
    "normalization",  # once constants are folded: it changes those of the first convolutions
    "plain.picks",  # before anything merges reshapes: it writes some
    "plain.rarer",  # before places: it writes one
    "plain.curves",
    "plain.whole",
    "plain.writes",  # behind picks: what it cuts has steps forwards
    "plain.places",  # behind picks and writes: the places that are left are computed
    "plain.einsum",  # before reshapes are merged, as those below
    "plain.fourier",
    "plain.deformed",
    "plain.functions",
    "plain.padded",  # before frames and transposed: they read explicit pads
    "plain.frames",  # behind functions: those leave a normalization to it
    "plain.kernels",  # behind frames, which bring lines to pictures
    "plain.transposed",  # behind frames: a line's transposed convolution is one of pictures
    "plain.borders",
    "plain.resampled",
    "gelu",  # before divisions by constants become products
    "channel_shuffle",  # before reshapes are merged: it looks for three in a row
    "operators",  # before reshapes are merged: it writes some
    "plain.scalars",  # behind operators: those leave numbers without axes
    "plain.axes",  # before reshapes are merged: it writes many
    "plain.known",  # behind all that write layers of their own
    "reshapes",  # before attributes are written out: it makes convolutions and slices of its own
    "canonical",  # before anything reads attributes
    "hoist_clamps",  # before clamps are merged: it brings them together
    "merge_clamps",  # before quantization folds the one clamp that is left into a scale
    "depth_to_space",  # after hoisting: a clamp in between would only have to be walked through
    "names",  # last: it names what is left
)

_UNCHECKED = frozenset({"sizes"})
"""Shape inference does not know all that the exporter writes: not before constants are folded."""

TOLERANCE = 1e-4
"""The largest deviation from before a pass, as a share of the output's range."""


def run(graph: Graph, compare: bool = False) -> Graph:
    """All passes; with ``compare`` the graph is also run before and after each, and must give the same numbers.

    Raises:
        BadInput: an output is a constant.
        CheckFailed: a pass changed what the graph computes.
        MalformedGraph: a pass broke the graph.
    """
    before, checked = graph, False
    check_computed(graph)
    for name in PASSES:
        after = importlib.import_module(f"clearport.export.passes.{name}").run(before)
        if checked and _same(before, after):
            after = replace(after, model=before.model)
        else:
            check_computed(after)
            checked = name not in _UNCHECKED
            after = graphs.check(after) if checked else after
            if compare:
                _compare(name, before, after)
        before = replace(after, history=(*after.history, name))
    return replace(before, origins=origins.of(before))


def _same(before: Graph, after: Graph) -> bool:
    """Whether a pass found nothing to do, as most do: checking a graph takes far longer than looking at it."""
    if (before.inputs, before.outputs) != (after.inputs, after.outputs):
        return False
    return before.model is after.model or graphs.to_bytes(before.model) == graphs.to_bytes(after.model)


def check_computed(graph: Graph) -> None:
    """Whether all outputs are computed from what is in the inputs, not from nothing or from sizes.

    Raises:
        BadInput: one is not; files cannot give it.
    """
    seen = set(graph.model.graph.inputs)
    for node in graph.model.graph:
        reads = table.of(node).kind != "shape" and seen.intersection(v for v in node.inputs if v is not None)
        if reads or node.op_type == "If":  # whose branches read what they do not list
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
    """What the graph makes of its inputs, by ONNX Runtime on one thread."""
    opened = graphs.session(graph.model)
    return list(opened.run(None, feed))
