"""A diagnosis as an HTML page: a row per layer, a column per runtime, each cell colored by the layer's own error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from clearport.reports import templates
from clearport.reports.html import hash_of
from clearport.runtime.steps.report import MOST_LEVELS, MOST_OFF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.bundle.diagnosis import Diagnosis, Layer, Seen, Witness

GENERATOR = "clearport diagnose"
"""The page's generator tag, by which clearport recognizes its own pages."""

COLORS = 6
"""Steps of the color scale: 0 is equal, the last one wrong."""


def html(found: Diagnosis) -> str:
    """The page."""
    style = templates.asset("diagnosis.css")
    names = {id(witness): {seen.name: seen for seen in witness.layers} for witness in found.witnesses}
    return (
        templates.environment()
        .get_template("diagnosis.html.j2")
        .render(
            found=found,
            generator=GENERATOR,
            letters=[letter(place) for place in range(len(found.witnesses))],
            rows=[(layer, [_cell(names[id(w)].get(layer.name)) for w in found.witnesses]) for layer in found.layers],
            cost=_costs(found.layers),
            most_levels=MOST_LEVELS,
            most_off=MOST_OFF,
            style=Markup(style),  # noqa: S704 - the package's own file
            style_hash=hash_of(style),
        )
    )


def letter(place: int) -> str:
    """A runtime's letter in tables: A, B, ..."""
    return chr(ord("A") + place) if place < 26 else f"{letter(place // 26 - 1)}{letter(place % 26)}"


def _cell(seen: Seen | None) -> dict[str, Any]:
    if seen is None:
        return {"text": "·", "color": "none", "title": "the runtime does not output this tensor"}
    text = "=" if not seen.differing else f"{seen.levels}" if not seen.passed else f"{seen.own_db:.0f}"
    told = f"{seen.differing:.4%} of the values differ, by up to {seen.levels} levels"
    own = "no own error" if seen.own_db is None else f"own error {seen.own_db:.1f} dB below the signal"
    total = "no error" if seen.sqnr_db is None else f"all error up to here {seen.sqnr_db:.1f} dB below it"
    return {"text": text, "color": color(seen), "title": f"{told}; {own}; {total}"}


def color(seen: Seen) -> int:
    """From 0 (equal) to ``COLORS`` (wrong): decades of the share of values that differ."""
    if not seen.passed:
        return COLORS if seen.levels > MOST_LEVELS else COLORS - 1
    if not seen.differing:
        return 0
    return max(1, min(COLORS - 2, 6 + round(math.log10(seen.differing))))


def _costs(layers: Sequence[Layer]) -> Mapping[str, int]:
    """Width of each layer's cost bar, from 0 to 20."""
    most = max((layer.gain_db or 0.0 for layer in layers), default=0.0)
    return {layer.name: round(20 * (layer.gain_db or 0.0) / most) if most else 0 for layer in layers}


def node_data(found: Diagnosis, witness: Witness) -> dict[str, Any]:
    """Node data for Model Explorer, by the tensors' names in a ``.tflite`` file.

    The value of a tensor is the share of its elements that differ from the reference's step, in parts per million.
    """
    results = {seen.name: {"value": round(seen.differing * 1e6, 3)} for seen in witness.layers}
    colors = [{"stop": 0, "bgColor": "#e8f5e9"}, {"stop": 0.5, "bgColor": "#fff176"}, {"stop": 1, "bgColor": "#e53935"}]
    return {f"{found.network} {witness.artifact} {witness.runtime}": {"results": results, "gradient": colors}}
