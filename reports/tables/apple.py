"""Core ML and Core AI compared: two formats for Apple's devices, from one graph and one scale table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import PRECISIONS, Skipped
from clearport.export.coreai.beta import IMAGE, LEAST_OS, NOT_RUN, TENSORS
from clearport.export.coreml.program import FIRST_IOS
from clearport.reports.cells import NOTHING, headed, optional, without_empty_columns
from clearport.reports.choice.picks import to_network
from clearport.reports.content import Cell, Section, Table
from clearport.reports.figures import distance
from clearport.reports.text import kilobytes, number, percent

if TYPE_CHECKING:
    from clearport.bundle.manifest import ArtifactRecord, Manifest
    from clearport.runtime.parity import ParityReport

_TITLES = {"coreml": "Core ML", "coreai": "Core AI"}
_QDQ = "QDQ reference"


def apple(manifest: Manifest) -> Section | None:
    """The chapter; None unless the bundle has both."""
    mine = [a for a in manifest.artifacts if a.target in _TITLES]
    if {a.target for a in mine} != set(_TITLES):
        return None
    mine.sort(key=lambda a: (PRECISIONS.index(a.precision), list(_TITLES).index(a.target), a.variant))
    intro = (
        "Core AI succeeds Core ML in iOS and macOS 27; Core ML files run on systems before and after. Both are written "
        "from one graph, and their int8 files from one scale table, so that they differ only in the format."
    )
    return Section("apple", "Core ML and Core AI", intro, tables=(_table(manifest, mine),))


def _table(manifest: Manifest, artifacts: list[ArtifactRecord]) -> Table:
    columns = headed(
        f"Precision | Format | Proven by | PSNR to {manifest.model.itself} | To the quantized model | Equal to it, % | "
        "int8 steps | Size, kB | Systems | Time, ms",
        (3, 4, 5, 7, 9),
    )
    rows = tuple(
        (
            Cell(artifact.precision, code=True),
            Cell(" ".join(filter(None, (_TITLES[artifact.target], artifact.variant)))),
            _proof(artifact),
            _decibels(to_network(artifact)),
            _decibels(_to_qdq(artifact)),
            optional(_equal(artifact), percent),
            _steps(artifact),
            Cell(kilobytes(artifact.bytes)),
            Cell(_systems(artifact)),
            NOTHING if isinstance(artifact.latency, Skipped) else Cell(number(artifact.latency.median_ms)),
        )
        for artifact in artifacts
    )
    note = (
        "“Reference-evaluated”: clearport's own evaluator of the saved package, since Core ML's runtime exists on "
        f"macOS only. Core AI's CPU runtime for Linux is Apple's; it is no evidence for GPU and Neural Engine. A "
        f"twin is the same program for small pictures, since that runtime is slow: its dB are those of another "
        f"picture. Times are measured on a Mac only. “{IMAGE}” files take and return CVPixelBuffers. Of Core AI's, the "
        f"function “{TENSORS}” is run, which “main” calls with the pixels: {NOT_RUN}."
    )
    return Table(*without_empty_columns(columns, rows), "Core ML and Core AI, by precision", note)


def _proof(artifact: ArtifactRecord) -> Cell:
    if isinstance(artifact.parity, Skipped):
        return Cell(f"not proven: {artifact.parity.reason}", "muted")
    held = all(p.passed for p in artifact.parities)
    return Cell(artifact.parity.method, "" if held else "bad")


def _to_qdq(artifact: ArtifactRecord) -> ParityReport | None:
    return next((p for p in artifact.parities if p.reference == _QDQ), None)


def _decibels(report: ParityReport | None) -> Cell:
    return NOTHING if report is None else Cell(distance(report))


def _equal(artifact: ArtifactRecord) -> float | None:
    report = _to_qdq(artifact)
    return None if report is None else report.exact_share


def _steps(artifact: ArtifactRecord) -> Cell:
    if not artifact.steps:
        return NOTHING
    count = max(report.steps for report in artifact.steps)
    if all(report.passed for report in artifact.steps):
        return Cell(f"all {count} proven separately", "good")
    return Cell("not all: see Parity", "bad")


def _systems(artifact: ArtifactRecord) -> str:
    """The minimum systems of the precision; an operator may need a later one."""
    least = LEAST_OS if artifact.target == "coreai" else str(FIRST_IOS[artifact.precision])
    return f"from iOS {least} on"
