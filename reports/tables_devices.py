"""What devices said of a bundle's artifacts: a table for each, and curves of sustained runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.reports.cells import NOTHING, headed, relative, unmeasured
from clearport.reports.content import Bar, Cell, Plot, Table
from clearport.reports.text import number
from clearport.runtime.device import EstimateReport, SimulatedReport
from clearport.runtime.latency_record import LatencyReport

if TYPE_CHECKING:
    from clearport.bench_record import BenchedDevice, BenchRow
    from clearport.bundle_manifest import Manifest
    from clearport.runtime.conditions import Conditions

_COLUMNS = headed(
    "Artifact | Runner | Figures are | Median, ms | p5 – p95, ms | Relative | First, ms | Asked for | Ran on | "
    "Golden picture | Remarks",
    (3, 4, 5, 6),
)
_POINTS = 12
_NOTE = (
    "“measured” is wall-clock time on the device; “compiler’s estimate” is what the compiler of an NPU says, and "
    "nothing ran; “simulated” ran on a simulator or on emulated hardware, whose time means nothing."
)


def devices(manifest: Manifest) -> tuple[Table, ...]:
    """One table per device."""
    return tuple(_device(device, manifest) for device in manifest.devices)


def _device(device: BenchedDevice, manifest: Manifest) -> Table:
    rows = [row for row in manifest.device_rows if row.device == device.address]
    rows.sort(key=lambda row: isinstance(row.cell, Skipped))
    return Table(_COLUMNS, tuple(map(_row, rows)), device.address, f"{_about(device)} {_NOTE}")


def _about(device: BenchedDevice) -> str:
    names = ("model", "cpu", "soc", "cores", "memory_mib", "system", "android")
    facts = [f"{name.replace('_', ' ')} {device.facts[name]}" for name in names if device.facts.get(name)]
    lost = f" It was lost: {device.lost}." if device.lost else ""
    return f"{', '.join(facts) or device.address}.{lost}{_change(device.before, device.after)}"


def _change(before: Conditions, after: Conditions) -> str:
    """Temperatures and clocks before and after, where the device tells."""
    parts = [
        *(
            f"{z} {before.temperatures_c[z]:.0f} → {t:.0f} °C"
            for z, t in after.temperatures_c.items()
            if z in before.temperatures_c
        ),
        *(
            f"{c} {before.clocks_mhz[c]:.0f} → {f:.0f} MHz"
            for c, f in after.clocks_mhz.items()
            if c in before.clocks_mhz
        ),
    ]
    return f" {', '.join(parts)}." if parts else " It does not tell its temperatures or clocks."


def _row(row: BenchRow) -> tuple[Cell, ...]:
    name, cell = Cell(row.artifact, code=True), row.cell
    if isinstance(cell, Skipped):
        return unmeasured(name, f"{row.runner}: {cell.reason}" if row.runner else cell.reason, len(_COLUMNS))
    return (name, Cell(row.runner), *_figures(cell), _golden(row), Cell("; ".join(_remarks(cell))))


def _figures(cell: LatencyReport | EstimateReport | SimulatedReport) -> tuple[Cell, ...]:
    """Kind, median, spread, ratio, first, unit asked for, unit that ran."""
    asked = Cell(cell.unit_asked)
    if isinstance(cell, LatencyReport):
        spread = Cell(f"{number(cell.p5_ms)} – {number(cell.p95_ms)}")
        times = (Cell(number(cell.median_ms)), spread, relative(cell.ratio), Cell(number(cell.first_inference_ms)))
        return Cell("measured"), *times, asked, _ran(cell.unit_asked, cell.unit_ran)
    if isinstance(cell, EstimateReport):
        units = "+".join(unit for unit, operators in cell.operators_per_unit.items() if operators)
        times = (Cell(f"~{number(cell.estimated_ms)}"), NOTHING, NOTHING, NOTHING)
        return Cell("compiler’s estimate"), *times, asked, _ran(cell.unit_asked, units)
    return Cell("simulated"), *(NOTHING,) * 4, asked, _ran(cell.unit_asked, cell.unit_ran)


def _ran(asked: str, ran: str) -> Cell:
    return Cell(ran, "" if ran == asked else "bad")


def _golden(row: BenchRow) -> Cell:
    if isinstance(row.golden, Skipped):
        return Cell(f"not checked: {row.golden.reason}", "muted")
    if not row.golden.passed:
        return Cell("; ".join(row.golden.failures), "bad")
    return Cell("equal" if row.golden.psnr_db is None else f"{row.golden.psnr_db:.1f} dB", "good")


def _remarks(cell: LatencyReport | EstimateReport | SimulatedReport) -> list[str]:
    if isinstance(cell, SimulatedReport):
        return [cell.why]
    if isinstance(cell, LatencyReport):
        return [f"not comparable: {remark}" for remark in cell.remarks]
    off = [
        f"{f.operator} ({f.layer}) on the CPU: {f.reason}" + ("" if f.priced_ms is None else f", ~{f.priced_ms:.2f} ms")
        for f in cell.fallbacks
    ]
    memory = [f"{area} {used / 1024:.0f} KiB" for area, used in cell.memory_bytes.items()]
    return [f"{cell.tool} for {cell.chip}", *off, *memory, *cell.warnings]


def sustained(manifest: Manifest) -> tuple[Plot, ...]:
    """The curve of every artifact that was run without a pause: medians at a dozen moments."""
    plots = []
    for row in manifest.device_rows:
        if isinstance(row.cell, LatencyReport) and row.cell.sustained is not None:
            curve = row.cell.sustained.curve
            step = max(1, -(-len(curve) // _POINTS))
            bars = tuple(
                Bar(f"{point.elapsed_s:.0f} s", row.artifact, point.median_ms, f"{number(point.median_ms)} ms")
                for point in curve[::step]
            )
            plots.append(Plot(f"{row.artifact} without a pause on {row.device}", "ms", bars, (row.artifact,)))
    return tuple(plots)
