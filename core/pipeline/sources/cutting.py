"""Tiling of a network's pictures: its receptive field, and whether tiles reproduce the whole picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clearport.errors import BadInput, CheckFailed
from clearport.graph import shapes
from clearport.operators.reach import Whole, halo_of
from clearport.pipeline.sources import measure

if TYPE_CHECKING:
    from clearport.base import Graph, Size
    from clearport.pipeline.sources.measure import Candidate, Growth

_AXES = 4
OVERLAP = 32
"""Overlap in input pixels of tiles of a network with a global receptive field, to hide seams."""
_NOISE = 1e-6
"""Relative changes of an output up to this may come from blocked summation in kernels."""
_LONGEST = 160
"""Maximum receptive field for which tiles are tested: larger ones would take long."""


@dataclass(frozen=True)
class Reach:
    """The receptive field, whether it is the whole picture, and how that was determined."""

    halo: int
    whole: bool
    how: str


def reach(candidate: Candidate, graph: Graph, main: str, probe: Size, growth: Growth | None) -> Reach:
    """The receptive field from the operators (an upper bound) and from perturbed pixels (a lower bound).

    Raises:
        CheckFailed: perturbed pixels reach beyond the operators' bound.
    """
    lead = shapes.lead(candidate.inputs)
    if not lead.is_picture:
        return Reach(0, True, "the whole input: the network has no picture input that could be tiled")
    picture = lead.name
    if growth is None and len(graph.output.shape) == _AXES:
        return Reach(OVERLAP, True, "all of the picture: height and width of its output scale differently")
    try:
        told = halo_of(graph, growth.crop if growth else 0)
    except Whole as where:
        seen = measure.reach(candidate, picture, main, probe, growth=growth)
        if where.known or seen is None:
            shown = "; and changed pixels reach that far" if seen is None else ""
            return Reach(OVERLAP, True, f"all of the picture: {where}{shown}")
        return Reach(seen, False, f"{seen} pixels, by changing pixels; {where} prevents analysis of the operators")
    seen = measure.reach(candidate, picture, main, probe, _NOISE, growth)
    if seen is None and min(probe.height, probe.width) // 2 - 2 <= told:
        return Reach(told, False, f"{told} pixels, by its operators; changed pixels reach all of {probe}")
    if seen is None or seen > told:
        raise CheckFailed(
            f"{candidate.name}: a changed pixel affects the output beyond the {told} that its operators imply"
        )
    return Reach(told, False, f"{told} pixels, by its operators; changed pixels reach {seen}")


def tiled(candidate: Candidate, found: Reach, main: str, multiple: int, least: int, growth: Growth) -> Reach:
    """Whether tiles with this overlap reproduce the whole picture; they may not if only perturbation determined it.

    Raises:
        BadInput: its output is not finite.
        CheckFailed: the operators determined the overlap, and the tiles differ.
    """
    if found.whole or found.halo > _LONGEST:
        return found
    off = measure.seams(candidate, main, found.halo, multiple, least, growth)
    if math.isnan(off):
        raise BadInput(
            f"{candidate.name}: its output {main!r} contains NaN or infinity on noise in the range of its input: give "
            "the range that it was made for (--range, or its contract)"
        )
    if off <= measure.SEAM:
        return replace(found, how=f"{found.how}; tiles reproduce the whole picture")
    if "by its operators" in found.how:
        raise CheckFailed(
            f"{candidate.name}: tiles with {found.halo} pixels of overlap are off by {off:.2g} of the range"
        )
    return Reach(max(found.halo, OVERLAP), True, f"{found.how}, but tiles differ by {off:.2g} of the range")
