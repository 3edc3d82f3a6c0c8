"""The plan of an export, made before anything is written: bad input is reported here, within a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from clearport.base import (
    FLOAT_PRECISIONS,
    PRECISIONS,
    USUAL_PRECISIONS,
    IODType,
    Options,
    Precision,
    Prefer,
    Size,
    Skipped,
)
from clearport.errors import BadInput
from clearport.pipeline.list import lacks
from clearport.pipeline.sources.request import ExportRequest
from clearport.protocols import Target, no_progress
from clearport.registry import TARGETS

if TYPE_CHECKING:
    from clearport.pipeline.sources.source import Source, Traits
    from clearport.protocols import Progress

USUAL = Size(360, 640)
"""The default export size of a dynamic network."""


@dataclass(frozen=True)
class Cell:
    """One target at one precision."""

    target: Target
    precision: Precision


@dataclass(frozen=True)
class Plan:
    """A request with all names resolved. ``skipped`` are the artifacts that cannot be made here, with reasons."""

    request: ExportRequest
    source: Source
    size: Size | None
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]

    @property
    def quantizes(self) -> bool:
        """Whether any int8 artifact is requested, so that a scale table is needed."""
        return any(cell.precision == "int8" for cell in self.cells)

    @property
    def rounded(self) -> tuple[Precision, ...]:
        """The requested precisions that are made from a quantized graph and need calibration photos."""
        asked = {cell.precision for cell in self.cells} - FLOAT_PRECISIONS
        return tuple(precision for precision in PRECISIONS if precision in asked)

    @property
    def options(self) -> Options:
        return Options(size=self.size, io=self.request.io)


def make_plan(request: ExportRequest, progress: Progress = no_progress) -> Plan:
    """Resolve names and check installed packages; an undescribed network is measured.

    Raises:
        BadInput: a name is unknown, the network cannot be read, it does not support the scale or size, or nothing is
            left to export.
    """
    from clearport.pipeline.sources.find import source_of

    _check_words(request)
    cells, skipped = _all_cells(request)
    progress("looking at the network", 0, 0)
    source = source_of(request)
    made, left_out = _fitting(cells, source.traits)
    return Plan(request, source, _size(request, source), made, (*skipped, *left_out))


def _fitting(cells: tuple[Cell, ...], traits: Traits) -> tuple[tuple[Cell, ...], list[Skipped]]:
    """The artifacts that a network can be exported to, and reasons for the others.

    Raises:
        BadInput: nothing is left to export.
    """
    if not traits.precisions:
        return cells, []
    reason = "the file is quantized to 8 bits already; --requantize converts it back to float first"
    made = tuple(cell for cell in cells if cell.precision in traits.precisions)
    if not made:
        raise BadInput(f"{traits.name}: nothing to export: {reason}")
    others = [cell for cell in cells if cell.precision not in traits.precisions]
    return made, [Skipped(f"{cell.target.name}/{cell.precision}", reason) for cell in others]


def _size(request: ExportRequest, source: Source) -> Size | None:
    from clearport.export.trial_sizes import check_size

    traits, size = source.traits, request.size
    if size == "own":
        step = traits.size_multiple
        size = traits.size or Size(*(-(-n // step) * step for n in (USUAL.height, USUAL.width)))
    if traits.size is not None and size != traits.size:
        asked = "any size" if size is None else str(size)
        raise BadInput(
            f"{traits.name}: its input is {traits.size} pixels, fixed in the file, so it cannot be exported "
            f"for {asked}: leave --size out, or export it again with dynamic height and width"
        )
    check_size(traits, size)
    return size


def _all_cells(request: ExportRequest) -> tuple[tuple[Cell, ...], tuple[Skipped, ...]]:
    """The feasible part of a request, and reasons for the rest.

    Raises:
        BadInput: nothing is left to export.
    """
    targets = [TARGETS.get(name) for name in request.targets or TARGETS.names()]
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    for target in targets:
        lacking = lacks(target)
        if lacking:
            skipped.append(Skipped(target.name, lacking))
            continue
        made, left_out = _cells(target, request.precisions)
        cells += made
        skipped += left_out
    if not cells:
        reasons = "; ".join(f"{s.what}: {s.reason}" for s in skipped)
        raise BadInput(f"nothing to export: {reasons}")
    return tuple(cells), tuple(skipped)


def _check_words(request: ExportRequest) -> None:
    unknown = [p for p in request.precisions if p not in PRECISIONS]
    if unknown:
        raise BadInput(f"unknown precision {unknown[0]!r} (available: {', '.join(PRECISIONS)})")
    if request.io not in get_args(IODType):
        raise BadInput(f"unknown number format {request.io!r} for --io (available: {', '.join(get_args(IODType))})")
    if request.prefer not in get_args(Prefer):
        raise BadInput(f"unknown preference {request.prefer!r} for --prefer (available: {', '.join(get_args(Prefer))})")


def _cells(target: Target, wanted: tuple[str, ...]) -> tuple[list[Cell], list[Skipped]]:
    """The usual precisions of a target, or the requested ones with a reason for each unsupported one."""
    has = ", ".join(target.precisions)
    cells = [Cell(target, p) for p in target.precisions if p in (wanted or USUAL_PRECISIONS)]
    lacking = [p for p in PRECISIONS if p in wanted and p not in target.precisions]
    return cells, [Skipped(f"{target.name}/{p}", f"{target.title} is written in {has}") for p in lacking]
