"""The rule behind "Which file to take" of a report: which files a place prefers, and what decides."""

from __future__ import annotations

from collections.abc import Iterator

from clearport.reports.choice.picks import MOST_LOST
from clearport.reports.choice.places import PLACES, WHY, Place
from docs.generate.text import code, page, table

_INTRODUCTION = f"""\
`report.html` begins with a file for each kind of device that the bundle has files for. It is chosen by what passed and
was measured in the bundle:

1. A file that failed a check, a gate or a golden picture on a device is out, as is one that nothing checked.
2. A file with a doubt comes after all without one: fp16 that float16 arithmetic spoils, on units that compute in it; a
   loss against ground truth (`clearport eval --record`) of more than {MOST_LOST} dB; a warning of an NPU's compiler,
   such as an arena that the chip does not hold.
3. Of the rest the fastest is taken, by rows of `clearport bench --record` on such a device, or else by the bundle's own
   times where this machine is one. Where neither was measured, the order of preference below decides, and the report
   says so, with the command that measures it.
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
