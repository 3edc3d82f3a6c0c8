"""The tables and plots of a report, from a manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from clearport.base import Skipped
from clearport.bundle_fields import LatencyCell, ParityCell
from clearport.bundle_manifest import ArtifactRecord, Manifest
from clearport.reports.content import Bar, Cell, Column, Plot, Table, Tone
from clearport.reports.text import contract, count, kilobytes, number, percent, trimmed
from clearport.runtime.latency import LatencyReport
from clearport.runtime.latency_stats import Ratio

PYTORCH = "pytorch"

T = TypeVar("T", Table, Plot)


def _columns(titles: str, numbers: tuple[int, ...] = ()) -> tuple[Column, ...]:
    """Columns from ``"A | B"``; ``numbers`` are the indices of those that hold numbers."""
    return tuple(Column(title.strip(), i in numbers) for i, title in enumerate(titles.split("|")))


def _unmeasured(first: Cell, reason: str, columns: int) -> tuple[Cell, ...]:
    """A row that says why there are no figures."""
    return (first, Cell(f"not measured: {reason}", "muted", span=columns - 1))


def artifacts(manifest: Manifest) -> Table:
    """What was written, with both ends of each file's pixel contract."""
    rows = tuple(
        (
            Cell(a.key, code=True),
            Cell(kilobytes(a.bytes)),
            Cell("; ".join(contract(spec) for spec in a.inputs)),
            Cell("; ".join(contract(spec) for spec in a.outputs)),
            Cell(a.path, code=True),
            Cell(a.sha256[:12], code=True),
        )
        for a in manifest.artifacts
    )
    return Table(
        _columns("Artifact | Size, kB | Input | Output | File | SHA-256", (1,)),
        rows,
        "Artifacts",
        "An artifact is named target/precision/variant. 1 kB is 1000 bytes. A pixel is a real value in the stated "
        "range; q is the number in the tensor. SHA-256 is cut to 12 digits: manifest.json and SHA256SUMS have all.",
    )


def parity(manifest: Manifest) -> Table:
    """Every artifact against its reference, by every runtime that looked at it."""
    columns = _columns(
        "Artifact | Verdict | How it was checked | Against | PSNR, dB | Largest difference, levels | "
        "Mean difference, levels | Equal pixels, % | Compared as | Allowed",
        (4, 5, 6, 7),
    )
    rows = tuple(_parity_row(a, cell, len(columns)) for a in manifest.artifacts for cell in (a.parity, *a.cross_checks))
    return Table(
        columns,
        rows,
        "Parity",
        "Each file was read back from disk and run in a process of its own on the golden input. “ran on” names a real "
        "runtime; “reference-evaluated” is clearport's own evaluator of the saved file, where the platform's "
        "runtime does not exist. A level is 1/255 of the value range; PSNR has the peak 255, over all of RGB, without "
        "a border.",
    )


def _parity_row(artifact: ArtifactRecord, cell: ParityCell, columns: int) -> tuple[Cell, ...]:
    first = Cell(artifact.key, code=True)
    if isinstance(cell, Skipped):
        return _unmeasured(first, cell.reason, columns)
    equal = cell.exact_share == 1 and cell.max_abs == 0
    return (
        first,
        Cell("passed", "good") if cell.passed else Cell(f"FAILED: {'; '.join(cell.failures)}", "bad"),
        Cell(cell.method),
        Cell(cell.reference),
        Cell("∞ (equal)") if equal else _optional(cell.psnr_db, "{:.2f}".format),
        _optional(cell.max_abs, _level),
        _optional(cell.mean_lsb, _level),
        _optional(cell.exact_share, percent),
        Cell(cell.basis),
        Cell(str(cell.tolerance)),
    )


def _level(value: float) -> str:
    return trimmed(number(value))


def _optional(value: float | None, show: Callable[[float], str] = number) -> Cell:
    return Cell("–", "muted") if value is None else Cell(show(value))


def quality(manifest: Manifest) -> Table | None:
    """Figures against ground truth, each with its protocol; None where none were taken."""
    if not manifest.quality:
        return None
    verdicts = {True: Cell("passed", "good"), False: Cell("FAILED", "bad"), None: Cell("no gate", "muted")}
    rows = tuple(
        (
            Cell(q.subject, code=True),
            Cell(q.data),
            Cell(str(q.images)),
            Cell(q.metric),
            Cell(q.protocol),
            Cell(f"{q.value:.3f} {q.unit}".rstrip()),
            Cell("–", "muted") if q.change is None else Cell(f"{q.change:+.3f}".replace("-", "−")),
            verdicts[q.passed],
        )
        for q in manifest.quality
    )
    return Table(
        _columns(
            "Network or artifact | Data | Images | Metric | Protocol | Value | Change to PyTorch fp32 | Gate", (2, 5, 6)
        ),
        rows,
        "Quality against ground truth",
    )


def latency(manifest: Manifest) -> Table:
    """The latency of PyTorch and of every artifact, from one interleaved run."""
    columns = _columns(
        "Artifact | Median, ms | Relative to PyTorch | p5 – p95, ms | Min – max, ms | CPU time, ms | "
        "CPU time relative | Rate, 1/s | Load, ms | First inference, ms | Peak memory, MiB | Threads | Samples | "
        "Unit | Measured with",
        tuple(range(1, 13)),
    )
    cells = [(PYTORCH, manifest.baseline.latency), *((a.key, a.latency) for a in manifest.artifacts)]
    rows = tuple(_latency_row(name, cell, len(columns)) for name, cell in cells)
    return Table(columns, rows, "Latency", _latency_note(manifest))


def _latency_note(manifest: Manifest) -> str:
    host = manifest.host
    load = (
        "" if host.load_start is None else f", load average {host.load_start:g} before and {host.load_end or 0:g} after"
    )
    return (
        f"{host.cpu}, {host.cores} cores, {host.system}{load}. Wall-clock time of one inference of "
        f"{manifest.model.macs_size} pixels, without the warm-up. All candidates took turns within one run: ratios are "
        "paired per round, with the 95 % bootstrap interval in brackets, and hold on a noisy machine better than "
        "single figures. CPU time sums all threads."
    )


def _latency_row(name: str, cell: LatencyCell, columns: int) -> tuple[Cell, ...]:
    first = Cell(name, code=True)
    if isinstance(cell, Skipped):
        return _unmeasured(first, cell.reason, columns)
    return (first, *_latency_cells(cell))


def _latency_cells(report: LatencyReport) -> tuple[Cell, ...]:
    fell_back = report.unit_asked != report.unit_ran
    ran = f", {report.executed_precision}" if report.executed_precision else ""
    version = next(iter(report.runtime_versions.values()), "")
    return (
        Cell(number(report.median_ms)),
        _ratio(report.ratio),
        Cell(f"{number(report.p5_ms)} – {number(report.p95_ms)}"),
        Cell(f"{number(report.min_ms)} – {number(report.max_ms)}"),
        Cell(number(report.cpu_median_ms)),
        _ratio(report.cpu_ratio),
        *(Cell(number(v)) for v in (report.fps, report.init_ms, report.first_inference_ms)),
        _optional(report.peak_memory_mib),
        Cell(str(report.threads)),
        Cell(f"{len(report.samples_ms)} after {report.warmup}"),
        Cell(f"{report.unit_ran} ({report.unit_asked} was asked for)", "bad") if fell_back else Cell(report.unit_ran),
        Cell(f"{report.runtime} {version}{ran}" + ("" if report.kind == "measured" else f" ({report.kind})")),
    )


def _ratio(ratio: Ratio | None) -> Cell:
    return Cell("–", "muted") if ratio is None else Cell(f"{ratio.value:.3f} ({ratio.low:.3f} – {ratio.high:.3f})")


def latency_plot(manifest: Manifest) -> Plot | None:
    """Medians with whiskers from p5 to p95; None where nothing was measured."""
    cells = [(PYTORCH, PYTORCH, manifest.baseline.latency), *((a.key, a.target, a.latency) for a in manifest.artifacts)]
    bars = tuple(
        Bar(label, group, cell.median_ms, f"{number(cell.median_ms)} ms", cell.p5_ms, cell.p95_ms)
        for label, group, cell in cells
        if isinstance(cell, LatencyReport)
    )
    return Plot("Median latency; whiskers from p5 to p95", "ms", bars, _groups(manifest)) if bars else None


def size_plot(manifest: Manifest) -> Plot | None:
    """Bytes of every artifact on disk; None where there is none."""
    bars = tuple(Bar(a.key, a.target, a.bytes / 1000, f"{kilobytes(a.bytes)} kB") for a in manifest.artifacts)
    return Plot("Size on disk", "kB", bars, _groups(manifest)) if bars else None


def _groups(manifest: Manifest) -> tuple[str, ...]:
    """PyTorch and every target: one colour each, the same in every plot."""
    return (PYTORCH, *sorted({a.target for a in manifest.artifacts}))


def skipped(manifest: Manifest) -> Table:
    """What was not made, and why."""
    rows = tuple((Cell(s.what, code=True), Cell(s.reason)) for s in manifest.skipped)
    return Table(_columns("Left out | Reason"), rows, "Left out")


def lint(manifest: Manifest) -> Table | None:
    """What may hurt on an accelerator; None where there is no remark."""
    tones: dict[str, Tone] = {"note": "muted", "warning": "", "error": "bad"}
    rows = tuple(
        (Cell(a.key, code=True), Cell(f.level, tones[f.level]), Cell(f.rule), Cell(f.layer, code=True), Cell(f.message))
        for a in manifest.artifacts
        for f in a.lint
    )
    return Table(_columns("Artifact | Level | Rule | Layer | Remark"), rows, "Remarks") if rows else None


def quantization(manifest: Manifest) -> Table | None:
    """How the scale table came to be; None for a bundle without int8."""
    q = manifest.quantization
    if q is None:
        return None
    rows = (
        (Cell("Scheme"), Cell(q.scheme)),
        (Cell("Calibrator"), Cell(q.calibrator)),
        (Cell("Calibration pictures"), Cell(count(q.images))),
        (Cell("SHA-256 of the pictures"), Cell(q.images_sha256[:12], code=True)),
        (Cell("Scale table"), Cell(q.table, code=True)),
        (Cell("Quantized reference"), Cell(q.reference, code=True)),
    )
    return Table(_columns("What | Value"), rows, "Quantization")


def versions(manifest: Manifest) -> Table:
    """What the bundle was made with."""
    host = manifest.host
    rows = [(Cell(name), Cell(version, code=True)) for name, version in sorted(manifest.tool_versions.items())]
    rows += [(Cell("Python"), Cell(host.python, code=True)), (Cell("System"), Cell(f"{host.system}, {host.machine}"))]
    return Table(_columns("Tool | Version"), tuple(rows), "Tool versions")


def present(*parts: T | None) -> tuple[T, ...]:
    """Those that there are."""
    return tuple(part for part in parts if part is not None)
