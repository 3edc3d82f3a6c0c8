"""The passes that turn what the exporter wrote into clearport's dialect, in order.

Each pass is a module ``pass_<name>`` with ``run(graph) -> graph``; the graph is checked after each.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import CheckFailed, Graph
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array

PASSES: tuple[str, ...] = (
    "sizes",  # first: shapes are inferred after the next pass, and this is about what inference counts otherwise
    "fold",  # before the others: the later passes look for operators and constants, not for what computes them
    "gelu",  # before divisions by constants become products
    "channel_shuffle",  # before reshapes are merged: it looks for three in a row
    "operators",  # before reshapes are merged: it writes some
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
        CheckFailed: a pass changed what the graph computes.
        MalformedGraph: a pass broke the graph.
    """
    before = graph
    for name in PASSES:
        module = importlib.import_module(f"clearport.export.passes.{name}")
        after = module.run(before)
        after = after if name in _UNCHECKED else graphs.check(after)
        after = replace(after, history=(*after.history, name))
        if compare:
            _compare(name, before, after)
        before = after
    return before


def _compare(name: str, before: Graph, after: Graph) -> None:
    low, high = before.input.span
    shape = [n if isinstance(n, int) else 24 for n in before.input.shape]
    image = np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)
    error = float(np.abs(evaluate(before, image) - evaluate(after, image)).max())
    if not error <= TOLERANCE * (high - low):
        raise CheckFailed(f"pass {name} changed the network's output by up to {error:g}")


def evaluate(graph: Graph, image: Array) -> Array:
    """What the graph makes of a float32 NCHW image, by ONNX Runtime on one thread."""
    opened = graphs.session(graph.model)
    result: Array = opened.run(None, {graph.input.name: image})[0]
    return result
