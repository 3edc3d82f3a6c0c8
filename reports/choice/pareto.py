"""Quality against time and size of a bundle's files.

Quality is compared as displayed, to 0.1 dB of fidelity and 0.001 dB of loss; smaller differences are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.reports import times
from clearport.reports.choice.picks import lost_db, sound, to_network, twin_of
from clearport.reports.content import Point, Scatter
from clearport.reports.tables.latency import groups
from clearport.reports.text import kilobytes, number, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.bundle.manifest import ArtifactRecord, Manifest

INVISIBLE_DB = 100.0
"""PSNR above which files count as equal: an RMS error of 1/392 of an 8-bit level."""


def scatters(manifest: Manifest) -> tuple[Scatter, ...]:
    """Fidelity against time and size and, where it was measured, loss against ground truth against time and size."""
    made = [plot(manifest, cost) for plot in (_fidelity, _truth) for cost in ("time", "size")]
    return tuple(plot for plot in made if plot is not None)


def _fidelity(manifest: Manifest, cost: str) -> Scatter | None:
    reports = [report for report in map(to_network, manifest.artifacts) if report is not None]
    if any(report.same is not None for report in reports):
        return _shares(manifest, cost)
    values = any(report.basis == "values" for report in reports)
    word = "SQNR" if values else "PSNR"

    def height(artifact: ArtifactRecord) -> tuple[float, str] | None:
        report = to_network(artifact)
        if report is None:
            return None
        if report.psnr_db is None and report.exact_share == 1:
            return INVISIBLE_DB, "equal"
        db = report.sqnr_db if values else report.psnr_db
        return None if db is None else (min(round(db, 1), INVISIBLE_DB), f"{db:.1f} dB")

    y = f"{word} to {manifest.model.itself}, dB"
    about = (
        f"{word} to {manifest.model.itself} on the golden input; values above {INVISIBLE_DB:g} dB are drawn at "
        f"{INVISIBLE_DB:g} dB, since such differences are invisible."
    )
    return _scatter(manifest, cost, y, height, about, INVISIBLE_DB)


def _shares(manifest: Manifest, cost: str) -> Scatter | None:
    """Scatter of equal shares, for outputs that are class indices or Booleans."""

    def height(artifact: ArtifactRecord) -> tuple[float, str] | None:
        report = to_network(artifact)
        return None if report is None or report.same is None else (100 * report.same, f"{percent(report.same)} %")

    itself = manifest.model.itself
    about = f"Share of the outputs for the golden input that is equal to those of {itself}."
    return _scatter(manifest, cost, f"share equal to {itself}, %", height, about, None)


def _truth(manifest: Manifest, cost: str) -> Scatter | None:
    def height(artifact: ArtifactRecord) -> tuple[float, str] | None:
        lost = lost_db(manifest, artifact)
        change = None if lost is None else round(-lost, 3)
        return None if change is None else (change, f"{change:+.3f} dB".replace("-", "−") if change else "0.000 dB")

    sets = list(dict.fromkeys(q.data for q in manifest.quality if q.change is not None and q.unit == "dB"))
    which = f"the worst of {', '.join(sets)}" if len(sets) > 1 else "".join(sets)
    about = f"Change against ground truth to {manifest.model.itself}, fp32 ({which})."
    return _scatter(manifest, cost, "change against ground truth, dB", height, about, None)


def _scatter(
    manifest: Manifest,
    cost: str,
    y: str,
    height: Callable[[ArtifactRecord], tuple[float, str] | None],
    about: str,
    most: float | None,
) -> Scatter | None:
    found = []
    for artifact in manifest.artifacts:
        at, up = _time(artifact) if cost == "time" else _size(artifact), height(artifact)
        if at is not None and up is not None:
            found.append((artifact, at, up))
    if len(found) < 2:  # a single file cannot be compared
        return None
    fit = [(x, y) for a, (x, _), (y, _) in found if sound(manifest, a) and not twin_of(a)]
    points = tuple(
        Point(a.key, a.target, x, y, texts, (x, y) in fit and _undominated(x, y, fit), _remark(manifest, a))
        for a, (x, *x_text), (y, *y_text) in found
        for texts in [(x_text[0], y_text[0])]
    )
    what = "Time" if cost == "time" else "Size"
    axis = f"{_clock(manifest)} here, ms" if cost == "time" else "size, kB"
    note = f"{about} Filled and numbered: Pareto-optimal, no other file is better in one and as good in the other."
    return Scatter(f"{what} and {y.rpartition(', ')[0]}", axis, y, points, groups(manifest)[1:], note, most)


def _clock(manifest: Manifest) -> str:
    cells = (a.latency for a in manifest.artifacts if not isinstance(a.latency, Skipped))
    return " or ".join(dict.fromkeys(times.typical(cell)[1] for cell in cells))


def _time(artifact: ArtifactRecord) -> tuple[float, str] | None:
    if isinstance(artifact.latency, Skipped):
        return None
    ms, _ = times.typical(artifact.latency)
    return ms, f"{number(ms)} ms"


def _size(artifact: ArtifactRecord) -> tuple[float, str]:
    return artifact.bytes / 1000, f"{kilobytes(artifact.bytes)} kB"


def _undominated(x: float, y: float, places: Sequence[tuple[float, float]]) -> bool:
    """Whether a point is Pareto-optimal; equal points all are."""
    return not any(ox <= x and oy >= y and (ox < x or oy > y) for ox, oy in places)


def _remark(manifest: Manifest, artifact: ArtifactRecord) -> str:
    """The reason why a file is not compared with the others."""
    if not sound(manifest, artifact):
        return "failed a check"
    return f"at {twin}" if (twin := twin_of(artifact)) else ""
