"""Output error from rounding each value, to choose the values that stay float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.quantize import footprint, qdq
from clearport.quantize.calibration import parallel, photos
from clearport.quantize.ranges import constrain, search
from clearport.quantized import QuantizedGraph, ScaleTable

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.graph.feeds import Feed
    from clearport.protocols import Progress
    from clearport.quantize.placement.fold import Folded
    from clearport.quantize.ranges.search import Bench, Choice

PROBE_COST = 1e11
"""Budget (``cost``) of finding the costliest values if their weights are unknown."""

_SWITCHES = 3
"""Relative cost of the switchable form of a network: every value is rounded, selected or not."""

_SIDES = (128, 96, 64)
"""Crop side, in pixels, for finding the costliest values, if the graph can run at it. On a smaller one, attention with
downsampling (ESA of RFDN: to a sixth) would weigh more than in a photo."""


def of(bench: Bench, folded: Folded, choice: Choice, progress: Progress) -> dict[str, float]:
    """Mean squared error of the output with only one value of the float network rounded, per value.

    From the weights of ``sensitivity`` if known; else by simulation.
    """
    split = bench.splits[0]
    entries = constrain.activations(folded, choice.ranges(folded, split.observed))
    if bench.weighed:
        return search.errors(folded, entries, split.observed)
    quantized = QuantizedGraph(folded.graph, ScaleTable(entries))
    session: Any = graphs.session(qdq.with_switches(quantized, folded.clamps))
    sources = {spec.name for spec in bench.graph.inputs}
    names = [name for name in entries if name not in sources and folded.observed[name] not in sources]
    probes = _probes(bench, PROBE_COST / max(1, len(names)) / _SWITCHES)

    memory = footprint.running(bench.graph, probes)

    def outputs(on: str) -> list[list[Array]]:
        given = {f"{name}.on": np.array(name == on) for name in entries}
        return [session.run(None, {**feed, **given}) for feed in probes]

    wanted = outputs("")
    errors: dict[str, float] = {}
    for done, (name, outs) in enumerate(zip(names, parallel.over(outputs, names, memory), strict=True)):
        progress("finding the most sensitive values", done, len(names))
        key = folded.observed[name]
        missed = [bench.measure.error(out, want) for out, want in zip(outs, wanted, strict=True)]
        errors[key] = max(errors.get(key, 0.0), float(np.mean(missed)))
    return errors


def _probes(bench: Bench, most: float) -> list[Feed]:
    """Photos of the first split, limited in number and size so that one run costs at most ``most``."""
    unit = bench.cost / sum(feeds.area(feed) for each in bench.photos for feed in each)
    for side in _SIDES:
        cut = photos.cropped(bench.graph, bench.photos[0], side)
        count = int(most / (unit * feeds.area(cut[0])))
        if count >= 1:
            break
    return cut[: max(1, count)]
