"""What an export will do, decided before anything is written: bad input is found here, in a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from clearport.base import PRECISIONS, BadInput, IODType, ModelSpec, Options, Precision, Size, Skipped
from clearport.protocols import Target
from clearport.registry import NETWORKS, TARGETS, missing


@dataclass(frozen=True)
class ExportRequest:
    """What the user asked for; see ``clearport export --help``.

    Empty ``targets`` and ``precisions`` mean all. ``size`` None means any size.
    """

    network: str
    out: Path
    scale: int | None = None
    size: Size | None = field(default_factory=lambda: Size(360, 640))
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    weights: Path | None = None
    knobs: tuple[str, ...] = ()
    calibration: Path | None = None
    io: IODType = "uint8"
    threads: int = 1
    measure: bool = True
    force: bool = False


@dataclass(frozen=True)
class Cell:
    """One target at one precision."""

    target: Target
    precision: Precision


@dataclass(frozen=True)
class Plan:
    """A request whose every name was resolved. ``skipped`` are the cells that cannot be made here, and why."""

    request: ExportRequest
    spec: ModelSpec
    scale: int
    cells: tuple[Cell, ...]
    skipped: tuple[Skipped, ...]
    knobs: Mapping[str, float] = field(default_factory=dict)

    @property
    def quantizes(self) -> bool:
        """Whether an int8 artifact is to be made, so that there must be a scale table."""
        return any(cell.precision == "int8" for cell in self.cells)

    @property
    def rounds_weights(self) -> bool:
        """Whether an artifact with int8 weights and float activations is to be made."""
        return any(cell.precision == "int8-weights" for cell in self.cells)

    @property
    def options(self) -> Options:
        return Options(size=self.request.size, io=self.request.io)


def make_plan(request: ExportRequest) -> Plan:
    """Resolve names and find out what is installed.

    Raises:
        BadInput: a name is unknown, the scale or size is not one of the network's, or nothing would be left to make.
    """
    from clearport.export.from_torch import check_size
    from clearport.models import knobs
    from clearport.models.weights import checked_scale

    spec: ModelSpec = NETWORKS.get(request.network)
    scale = checked_scale(spec, request.scale)
    check_size(spec, request.size)
    turned = knobs.parse(spec, request.knobs)
    _check_words(request)
    targets = [TARGETS.get(name) for name in request.targets or TARGETS.names()]
    cells, skipped = [], []
    for target in targets:
        absent = missing(target.requires)
        if absent:
            reason = f"{', '.join(absent)} is not installed; to add it: pip install 'clearport[{target.name}]'"
            skipped.append(Skipped(target.name, reason))
            continue
        made, left_out = _cells(target, request.precisions)
        cells += made
        skipped += left_out
    if not cells:
        reasons = "; ".join(f"{s.what}: {s.reason}" for s in skipped)
        raise BadInput(f"nothing to export: {reasons}")
    return Plan(request, spec, scale, tuple(cells), tuple(skipped), turned)


def _check_words(request: ExportRequest) -> None:
    unknown = [p for p in request.precisions if p not in PRECISIONS]
    if unknown:
        raise BadInput(f"unknown precision {unknown[0]!r} (there are: {', '.join(PRECISIONS)})")
    if request.io not in get_args(IODType):
        raise BadInput(f"unknown number format {request.io!r} for --io (there are: {', '.join(get_args(IODType))})")


def _cells(target: Target, wanted: tuple[str, ...]) -> tuple[list[Cell], list[Skipped]]:
    """All precisions of a target, or the wanted ones with a reason for each that it does not have."""
    has = ", ".join(target.precisions)
    cells = [Cell(target, p) for p in target.precisions if not wanted or p in wanted]
    lacking = [p for p in PRECISIONS if p in wanted and p not in target.precisions]
    return cells, [Skipped(f"{target.name}/{p}", f"{target.title} is written in {has}") for p in lacking]
