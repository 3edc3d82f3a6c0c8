"""The latency table of a report, and its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.bundle.fields import LatencyCell
from clearport.bundle.manifest import Manifest
from clearport.reports.cells import headed, optional, relative, unmeasured
from clearport.reports.content import Cell, Spread, Spreads, Table
from clearport.reports.text import number
from clearport.runtime.latency.record import LatencyReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.bundle.bench_record import DeviceCell

PYTORCH = "pytorch"


def latency(manifest: Manifest) -> Table:
    """The latency of PyTorch and of every artifact, from one interleaved run."""
    columns = headed(
        f"Artifact | Median, ms | Relative to {manifest.model.itself} | p5 – p95, ms | Min – max, ms | CPU time, ms | "
        "CPU time relative | Rate, 1/s | Load, ms | First inference, ms | Peak memory, MiB | Threads | Samples | "
        "Unit | Measured with",
        tuple(range(1, 13)),
        (4, 7, 11, 12, 13, 14),
    )
    cells = [(PYTORCH, manifest.baseline.latency), *((a.key, a.latency) for a in manifest.artifacts)]
    rows = [(Cell(name, code=True), *_latency_cells(cell)) for name, cell in cells if not isinstance(cell, Skipped)]
    return Table(columns, (*rows, *_unmeasured(cells, len(columns))), "Latency", _latency_note(manifest))


def _latency_note(manifest: Manifest) -> str:
    host = manifest.host
    load = (
        "" if host.load_start is None else f", load average {host.load_start:g} before and {host.load_end or 0:g} after"
    )
    return (
        f"{host.cpu}, {host.cores} cores, {host.system}{load}. Wall-clock time of one inference of "
        f"{manifest.model.macs_size} pixels, without the warm-up. All candidates were interleaved in one run: ratios "
        "are paired per round, with the 95 % interval in brackets, and are more reliable on a noisy machine than "
        "single figures. CPU time sums all threads."
    )


def _unmeasured(cells: Sequence[tuple[str, LatencyCell]], columns: int) -> Iterator[tuple[Cell, ...]]:
    """Candidates without figures, one row per reason."""
    by_reason: dict[str, list[str]] = {}
    for name, cell in cells:
        if isinstance(cell, Skipped):
            by_reason.setdefault(cell.reason, []).append(name)
    for reason, names in by_reason.items():
        yield unmeasured(Cell(", ".join(names), code=True), reason, columns)


def _latency_cells(report: LatencyReport) -> tuple[Cell, ...]:
    fell_back = report.unit_asked != report.unit_ran
    ran = f", {report.executed_precision}" if report.executed_precision else ""
    return (
        Cell(number(report.median_ms)),
        relative(report.ratio),
        Cell(f"{number(report.p5_ms)} – {number(report.p95_ms)}"),
        Cell(f"{number(report.min_ms)} – {number(report.max_ms)}"),
        optional(report.cpu_median_ms),
        relative(report.cpu_ratio),
        *(Cell(number(v)) for v in (report.fps, report.init_ms, report.first_inference_ms)),
        optional(report.peak_memory_mib),
        Cell(str(report.threads)),
        Cell(f"{len(report.samples_ms)} after {report.warmup}"),
        Cell(f"{report.unit_ran} ({report.unit_asked} was requested)", "bad") if fell_back else Cell(report.unit_ran),
        Cell(f"{_runtime(report)}{ran}" + ("" if report.kind == "measured" else f" ({report.kind})")),
    )


def _runtime(report: LatencyReport) -> str:
    """The runtime and its version, or the versions of all its packages."""
    versions = report.runtime_versions
    if report.runtime in versions:
        return f"{report.runtime} {versions[report.runtime]}"
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or report.runtime


def spreads(manifest: Manifest) -> tuple[Spreads, ...]:
    """The samples of PyTorch and every artifact on this machine, and of devices; empty if nothing was measured."""
    here = [(PYTORCH, PYTORCH, manifest.baseline.latency), *((a.key, a.target, a.latency) for a in manifest.artifacts)]
    made = [Spreads("On this machine", "ms", _spreads(here), groups(manifest))]
    for device in manifest.devices:
        rows = [row for row in manifest.device_rows if row.device == device.address]
        cells = [(f"{row.artifact}, {row.unit}", row.artifact.split("/")[0], row.cell) for row in rows]
        made.append(Spreads(f"On {device.address}", "ms", _spreads(cells), groups(manifest)))
    return tuple(plot for plot in made if plot.spreads)


def _spreads(cells: Sequence[tuple[str, str, DeviceCell]]) -> tuple[Spread, ...]:
    return tuple(
        Spread(label, group, cell.samples_ms, cell.min_ms, cell.median_ms, cell.p90_ms)
        for label, group, cell in cells
        if isinstance(cell, LatencyReport)
    )


def groups(manifest: Manifest) -> tuple[str, ...]:
    """PyTorch and every target of the bundle: one color each, the same in every plot."""
    return (PYTORCH, *sorted({a.target for a in manifest.artifacts}))
