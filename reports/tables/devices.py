"""Device results of a bundle's artifacts, and curves of sustained runs.

Measured, estimated, simulated and skipped rows are in separate tables, so that kinds of figures cannot be confused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.reports.cells import NOTHING, headed, optional, relative, without_empty_columns
from clearport.reports.content import Bar, Cell, Plot, Table
from clearport.reports.figures import distance
from clearport.reports.text import count, number
from clearport.runtime.devices.device import EstimateReport, Fallback, SimulatedReport
from clearport.runtime.latency.compare import baselines_of, other_of
from clearport.runtime.latency.record import NO_PROFILE, LatencyReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clearport.bundle.bench_record import BenchedDevice, BenchRow
    from clearport.bundle.manifest import Manifest
    from clearport.runtime.latency.conditions import Conditions

_POINTS = 12
_GOLDEN = "Golden picture, PSNR"

KINDS = (
    "“Measured” is wall-clock time on the device. “Estimated” is by the compiler of an NPU: nothing ran. “Simulated” "
    "ran on a simulator or on emulated hardware: its output is valid, but not its time."
)


def devices(manifest: Manifest) -> tuple[Table, ...]:
    """Tables per device: measured, estimated, simulated, and skipped rows."""
    return tuple(table for device in manifest.devices for table in _device(device, manifest.device_rows))


def _device(device: BenchedDevice, rows: Iterable[BenchRow]) -> Iterator[Table]:
    mine = [row for row in rows if row.device == device.address]
    measured = [(row, row.cell) for row in mine if isinstance(row.cell, LatencyReport)]
    estimated = [(row, row.cell) for row in mine if isinstance(row.cell, EstimateReport)]
    simulated = [(row, row.cell) for row in mine if isinstance(row.cell, SimulatedReport)]
    if measured:
        yield _measured(device, measured)
    if estimated:
        yield _estimated(device, estimated)
    if simulated:
        yield _simulated(device, simulated)
    if not_run := _reasons(mine):
        caption = f"{device.address}: did not run"
        lost = f"It was lost: {device.lost}." if device.lost else ""
        yield Table(headed("Reason | Artifacts"), not_run, caption, lost, shown=True)


def _measured(device: BenchedDevice, found: Sequence[tuple[BenchRow, LatencyReport]]) -> Table:
    others = baselines_of([cell for _, cell in found])
    relatives = "".join(f" | Relative to {other.replace('|', ' ')}" for other in others)
    columns = headed(
        f"Artifact | Runner | Wall median, ms | CPU median, ms | p5 – p95, ms{relatives} | First, ms | Ran on | "
        f"{_GOLDEN} | Remarks",
        tuple(range(2, 6 + len(others))),
    )
    rows = tuple(
        (
            Cell(row.artifact, code=True),
            Cell(row.runner),
            Cell(number(cell.median_ms)),
            optional(cell.cpu_median_ms),
            Cell(f"{number(cell.p5_ms)} – {number(cell.p95_ms)}"),
            *(relative(cell.ratio if cell.ratio and other_of(cell.ratio.baseline) == o else None) for o in others),
            Cell(number(cell.first_inference_ms)),
            _ran(cell.unit_asked, cell.unit_ran),
            _golden(row),
            Cell("; ".join((*(f"not comparable: {remark}" for remark in cell.remarks), *_without_profile(cell)))),
        )
        for row, cell in found
    )
    cells = [cell for _, cell in found]
    threads = " or ".join(map(str, sorted({cell.threads for cell in cells})))
    runs = min(len(cell.samples_ms) for cell in cells)
    how = f"At least {count(runs)} timed runs of each, {threads} thread{'' if threads == '1' else 's'}."
    note = f"{_about(device)}{_change(device.before, device.after)} {how}"
    return Table(*without_empty_columns(columns, rows), f"{device.address}: measured", note, shown=True)


def _without_profile(cell: LatencyReport) -> list[str]:
    return [f"no profile: {cell.facts[NO_PROFILE]}"] if NO_PROFILE in cell.facts else []


def _estimated(device: BenchedDevice, found: Sequence[tuple[BenchRow, EstimateReport]]) -> Table:
    columns = headed(
        "Artifact | Compiler | Estimate, ms | of that the NPU, ms | of that the CPU, ms | Operators on the NPU | "
        "Operators on the CPU | Memory",
        (2, 3, 4, 5),
    )
    rows = tuple(
        (
            Cell(row.artifact, code=True),
            Cell(" ".join(filter(None, (cell.tool, *cell.tool_versions.values())))),
            *(Cell(f"~{number(ms)}" if ms else "0") for ms in (cell.estimated_ms, cell.npu_ms, cell.fallback_ms)),
            Cell(count(sum(cell.operators_per_unit.get("npu", {}).values()))),
            Cell("; ".join(map(_fallback, cell.fallbacks)) or "none"),
            Cell(", ".join(f"{area} {count(-(-used // 1024))} KiB" for area, used in cell.memory_bytes.items())),
        )
        for row, cell in found
    )
    chips = dict.fromkeys(cell.chip for _, cell in found)
    warnings = dict.fromkeys(f"{row.artifact}: {warning}" for row, cell in found for warning in cell.warnings)
    note = "; ".join((*chips, *warnings))
    return Table(columns, rows, f"{device.address}: estimated by a compiler, nothing ran", f"{note}.", shown=True)


def _fallback(left: Fallback) -> str:
    priced = "" if left.priced_ms is None else f", ~{left.priced_ms:.2f} ms"
    return f"{left.operator} ({left.layer}): {left.reason}{priced}"


def _simulated(device: BenchedDevice, found: Sequence[tuple[BenchRow, SimulatedReport]]) -> Table:
    rows = tuple(
        (Cell(row.artifact, code=True), Cell(row.runner), _ran(cell.unit_asked, cell.unit_ran), _golden(row))
        for row, cell in found
    )
    note = "; ".join(dict.fromkeys(cell.why for _, cell in found))
    columns = headed(f"Artifact | Runner | Ran on | {_GOLDEN}")
    return Table(columns, rows, f"{device.address}: simulated, without latency", f"{note}.", shown=True)


def _reasons(rows: Iterable[BenchRow]) -> tuple[tuple[Cell, ...], ...]:
    """Skipped rows, by reason."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row.cell, Skipped):
            reason = f"{row.runner}: {row.cell.reason}" if row.runner else row.cell.reason
            found.setdefault(reason, []).append(row.artifact)
    return tuple((Cell(reason), Cell(", ".join(names))) for reason, names in found.items())


def _about(device: BenchedDevice) -> str:
    """A description of the device from its facts."""
    words = {
        "model": "{}",
        "cpu": "{}",
        "soc": "{}",
        "cores": "{} cores",
        "memory_mib": "{} MiB of memory",
        "system": "{}",
        "android": "Android {}",
    }
    facts = (word.format(device.facts[name]) for name, word in words.items() if device.facts.get(name))
    return f"{', '.join(dict.fromkeys(facts)) or device.address}."


def _change(before: Conditions, after: Conditions) -> str:
    """Temperatures and clocks before and after, if the device reports them."""
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
    return f" {', '.join(parts)}." if parts else " It does not report temperatures or clocks."


def _ran(asked: str, ran: str) -> Cell:
    return Cell(ran) if ran == asked else Cell(f"{ran} ({asked} was requested)", "bad")


def _golden(row: BenchRow) -> Cell:
    if row.artifact == "pytorch":
        return NOTHING
    if isinstance(row.golden, Skipped):
        return Cell(f"not checked: {row.golden.reason}", "muted")
    if not row.golden.passed:
        return Cell("; ".join(row.golden.failures), "bad")
    return Cell(distance(row.golden), "good")


def sustained(manifest: Manifest) -> tuple[Plot, ...]:
    """The curves of sustained runs: medians at a dozen times."""
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
