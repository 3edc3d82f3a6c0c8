"""The rule behind "Which file to take" of a report: preferred files and criteria."""

from __future__ import annotations

from collections.abc import Iterator

from clearport.reports.choice.picks import MOST_LOST
from clearport.reports.choice.places import PLACES, WHY, Place
from docs.generate.text import code, page, table

_INTRODUCTION = f"""\
`report.html` begins with a recommended file for each kind of device that the bundle supports, based on the bundle's
checks and measurements:

1. A file that failed a check, a gate or a golden picture on a device is excluded, as is one without checks.
2. A file with a *doubt* ranks after all without one: fp16 that is inaccurate in float16 arithmetic, on units that
   compute in it; a loss against ground truth (`clearport eval --record`) of more than {MOST_LOST} dB; a warning of an
   NPU's compiler, such as an arena larger than the chip's memory.
3. Of the rest the fastest is chosen, by rows of `clearport bench --record` on such a device, or else by the bundle's
   own times if this machine is one. If neither was measured, the order of preference below decides, and the report says
   so, with the command that measures it.
"""


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    headers = (
        "device",
        "preferred files, the first that passed",
        "why the first",
        "rows of devices that decide",
        "own times decide on",
    )
    yield (
        "reference/recommendations.md",
        page("Which file for which device", _INTRODUCTION, table(headers, map(_row, PLACES))),
    )


def _row(place: Place) -> tuple[str, ...]:
    kinds = dict.fromkeys("/".join(key.split("/")[:2]) for key in place.wanted)
    rows = f"{', '.join(map(code, place.families))} on {', '.join(place.units)}"
    return (
        place.title,
        ", ".join(map(code, kinds)),
        WHY[place.title],
        rows,
        ", ".join(map(code, place.machines)) or "–",
    )
