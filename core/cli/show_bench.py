"""Output of ``clearport devices`` and ``clearport bench``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from clearport.base import Skipped
from clearport.cli.show import FAILED, PASSED, SKIPPED, number, print_json, print_parts, print_table, table
from clearport.runtime.devices.device import EstimateReport, SimulatedReport
from clearport.runtime.latency.compare import baselines_of, other_of
from clearport.runtime.latency.record import NO_PROFILE, LatencyReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.bundle.bench_record import BenchRow, Compared, Comparison
    from clearport.pipeline.benching.values import BenchOutcome
    from clearport.pipeline.devices import Devices

_SLOWEST = 5
_TIMES = ("wall ms", "CPU ms", "p5", "p95", "first", "init")
_SIMULATED = ("artifact", "runner", "ran on", "golden")
_ESTIMATED = ("artifact", "compiler", "estimate, ms", "NPU", "CPU", "on the NPU", "off the NPU", "memory")
_MS = """wall ms, CPU ms: medians, measured interleaved; CPU time sums all threads and varies less
p5, p95, first, init: of the wall time; of …: share of the other's wall time, paired, with its 95 % interval
MiB: peak memory"""
_COLORS = {"faster": "green", "slower": "red", "cannot tell": "yellow", "not comparable": "yellow"}


def show_devices(found: Devices, *, as_json: bool) -> None:
    """Devices, and the runners of this machine."""
    if as_json:
        print_json(asdict(found))
        return
    ordered = sorted(found.devices, key=lambda d: (d.address != "host", d.obstacle is not None))
    rows = []
    for before, d in zip([None, *ordered], ordered, strict=False):
        same = before is not None and d.obstacle is not None and before.obstacle == d.obstacle
        state = _state(d.obstacle, ", ".join(f"{k} {v}" for k, v in d.parts.items()))
        rows.append((d.address, d.title, ", ".join(d.units), Text("as above", "dim") if same else state))
    print_parts(table("Devices", ("--device", "what", "--unit", "installed, or missing packages"), rows))
    print_parts()
    runners = [
        (r.name, r.title, ", ".join(r.targets), ", ".join(r.units), _state(r.obstacle, "ready")) for r in found.runners
    ]
    print_parts(table("Runners of this machine", ("name", "what", "runs", "--unit", "state"), runners))


def _state(obstacle: str | None, there: str) -> Text:
    return Text(obstacle, "yellow") if obstacle else Text(there, "green")


def show_bench(outcome: BenchOutcome, compared: Compared | None) -> None:
    """Tables per device, by kind; skipped rows by reason; and the comparison with an older record."""
    for address in dict.fromkeys(row.device for row in outcome.rows):
        _show_device(_title(outcome, address), [row for row in outcome.rows if row.device == address])
        print_parts()
    if any(isinstance(row.cell, LatencyReport) for row in outcome.rows):
        print_parts(Text(_MS, "dim"))
    if compared is not None:
        _compared(compared)


def _show_device(title: str, rows: Sequence[BenchRow]) -> None:
    timed = [(row, row.cell) for row in rows if isinstance(row.cell, LatencyReport)]
    others = baselines_of([cell for _, cell in timed])
    measured = [_measured(row, cell, others) for row, cell in timed]
    estimated = [_estimate(row, row.cell) for row in rows if isinstance(row.cell, EstimateReport)]
    simulated = [_simulated(row, row.cell) for row in rows if isinstance(row.cell, SimulatedReport)]
    if measured:
        print_parts(Text(f"{title}: measured", "bold"))
        figures = (*_TIMES, *(f"of {other}" for other in others))
        columns = ("artifact", "runner", "ran on", *figures, "golden", "MiB")
        print_table(columns, measured, (*figures, "MiB"), ("p5", "p95", "first", "init", "MiB"))
    if estimated:
        print_parts(Text(f"{title}: a compiler's estimate, nothing ran", "bold"))
        print_table(_ESTIMATED, estimated, _ESTIMATED[2:5], ("compiler", "NPU", "CPU"))
    if simulated:
        print_parts(Text(f"{title}: simulated, correctness without latency", "bold"))
        print_parts(table("", _SIMULATED, simulated))
    if not measured and not estimated and not simulated:
        print_parts(Text(f"{title}: nothing ran", "bold"))
    for row in rows:
        _notes(row)
    for why in dict.fromkeys(row.cell.why for row in rows if isinstance(row.cell, SimulatedReport)):
        print_parts(Text(why, "dim"))
    _skips(rows)


def _skips(rows: Sequence[BenchRow]) -> None:
    """Skipped rows, by reason."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row.cell, Skipped):
            by_reason.setdefault(row.cell.reason, []).append(f"{row.artifact} {row.runner}".strip())
    for reason, names in by_reason.items():
        told = f" {names[0]}" if len(names) == 1 else f" {len(names)} artifacts"
        more = "" if len(names) == 1 else f" ({', '.join(name.partition(' ')[0] for name in names)})"
        print_parts(SKIPPED + Text(f"{told}: {reason}{more}", "not bold dim"))


def show_failures(failures: Sequence[str]) -> None:
    """Failed checks."""
    for failure in failures:
        print_parts(Text(failure, "red"))


def _title(outcome: BenchOutcome, address: str) -> str:
    facts = next((d.facts for d in outcome.record.devices if d.address == address), {})
    return ", ".join([address, *(str(facts[key]) for key in ("model", "cpu", "system") if facts.get(key))])


def _measured(row: BenchRow, cell: LatencyReport, others: Sequence[str]) -> tuple[str | Text, ...]:
    times = (cell.median_ms, cell.cpu_median_ms, cell.p5_ms, cell.p95_ms, cell.first_inference_ms, cell.init_ms)
    ratio = "" if cell.ratio is None else f"{cell.ratio.value:.2f} ({cell.ratio.low:.2f}–{cell.ratio.high:.2f})"
    ran = Text(cell.unit_ran, "bold red" if cell.fell_back else "")
    mine = None if cell.ratio is None else other_of(cell.ratio.baseline)
    figures = (*(number(t, 1) for t in times), *(ratio if other == mine else "" for other in others))
    return row.artifact, row.runner, ran, *figures, _golden(row), number(cell.peak_memory_mib, 0)


def _simulated(row: BenchRow, cell: SimulatedReport) -> tuple[str | Text, ...]:
    return row.artifact, row.runner, cell.unit_ran, _golden(row)


def _estimate(row: BenchRow, cell: EstimateReport) -> tuple[str | Text, ...]:
    on_npu = sum(cell.operators_per_unit.get("npu", {}).values())
    off = ", ".join(f"{count} {kind}" for kind, count in cell.operators_per_unit.get("cpu", {}).items())
    memory = ", ".join(f"{area} {used / 1024:.0f} KiB" for area, used in cell.memory_bytes.items())
    figures = (f"~{number(cell.estimated_ms)}", number(cell.npu_ms), number(cell.fallback_ms))
    return (
        row.artifact,
        cell.tool,
        *figures,
        f"{on_npu} operators",
        Text(off or "none", "yellow" if off else ""),
        memory,
    )


def _golden(row: BenchRow) -> Text:
    if isinstance(row.golden, Skipped):
        return Text("–")
    return PASSED if row.golden.passed else FAILED


def _notes(row: BenchRow) -> None:
    """Remarks on one row, besides its figures."""
    cell, what = row.cell, f"{row.artifact} {row.runner}".strip()
    if isinstance(cell, EstimateReport):
        print_parts(Text(f"{what}: {cell.tool} for {cell.chip}", "dim"))
        if "kept" in cell.facts:
            print_parts(Text(f"{what}: the file for the chip: {cell.facts['kept']}", "dim"))
        for warning in cell.warnings:
            print_parts(Text(f"{what}: {warning}", "yellow"))
    elif isinstance(cell, LatencyReport):
        _measured_notes(cell, what)


def _measured_notes(cell: LatencyReport, what: str) -> None:
    if cell.sustained is not None:
        s = cell.sustained
        told = f"{s.first_ms:.1f} ms at first, {s.last_ms:.1f} ms at last ({s.slowdown:.2f})"
        print_parts(Text(f"{what}: {s.seconds:.0f} s without a pause: {told}", "dim"))
    for remark in cell.remarks:
        print_parts(Text(f"{what}: not comparable: {remark}", "yellow"))
    if cell.fell_back:
        print_parts(Text(f"{what}: asked for the {cell.unit_asked}, ran on: {cell.unit_ran}", "red"))
    if why := cell.facts.get(NO_PROFILE):
        print_parts(Text(f"{what}: no profile: {why}", "dim"))
    total = sum(op.ms for op in cell.profile) or 1.0
    for op in cell.profile[:_SLOWEST]:
        print_parts(Text(f"{what}: {op.ms:8.3f} ms {op.ms / total:5.0%}  {op.operator}  {op.name}", "dim"))


def _compared(found: Compared) -> None:
    rows = [(c.device, c.artifact, c.runner, *_verdict(c)) for c in found.comparisons]
    columns = ("device", "artifact", "runner", "verdict", "new over old", "by")
    print_parts(table(f"Compared with the record of {found.created}", columns, rows))
    if not found.same_model:
        print_parts(Text("the older record is of another network, size or weights", "yellow"))
    for key in found.missing:
        print_parts(Text(f"not compared: {key}: only measured in the older record", "yellow"))
    if found.max_slowdown is None and any(c.outcome == "slower" for c in found.comparisons):
        print_parts(Text("without --max-slowdown, slower files do not fail", "dim"))


def _verdict(verdict: Comparison) -> tuple[str | Text, ...]:
    told = Text(verdict.outcome, _COLORS[verdict.outcome])
    if verdict.ratio is None:
        return told, "", verdict.why
    return told, f"{verdict.ratio:.3f} ({verdict.low:.3f}–{verdict.high:.3f})", verdict.basis
