"""The tables of a report, from a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from clearport.base import Skipped
from clearport.bundle.fields import ParityCell
from clearport.bundle.manifest import ArtifactRecord, LintFinding, Manifest, QualityRecord
from clearport.reports.cells import NOTHING, headed, optional, unmeasured, without_empty_columns
from clearport.reports.choice.picks import chosen
from clearport.reports.content import Cell, Table, Tone
from clearport.reports.figures import distance, figures
from clearport.reports.text import contract, count, in_words, kilobytes, number, percent, trimmed
from clearport.runtime.parity import NETWORKS, ParityReport
from clearport.runtime.steps.report import MOST_OFF
from clearport.runtime.steps.step_models import TIE
from clearport.words import counted

_IN_THE_HEAD = {"license", "network", "paper", "params", "scale"}
_FIRST = ("summary", "source", "data", "degradation", "training", "quality", "protocol", "note")
"""Order of the entries of a card; others follow."""


def glance(manifest: Manifest) -> Table | None:
    """The main figures of every artifact, recommended ones first; None without artifacts."""
    places = chosen(manifest)
    rows = tuple(
        (
            Cell(a.key, code=True),
            Cell(places[a.key], "good") if a.key in places else Cell(""),
            _checks(a),
            _to_pytorch(a),
            Cell("not measured", "muted") if isinstance(a.latency, Skipped) else Cell(number(a.latency.median_ms)),
            NOTHING if isinstance(a.latency, Skipped) else optional(a.latency.cpu_median_ms),
            NOTHING if isinstance(a.latency, Skipped) or not a.latency.ratio else Cell(f"{a.latency.ratio.value:.2f}"),
            Cell(kilobytes(a.bytes)),
        )
        for a in sorted(manifest.artifacts, key=lambda a: a.key not in places)
    )
    columns = headed(
        f"Artifact | Take it for | Checks | PSNR to {manifest.model.itself}, dB | Wall median, ms | CPU median, ms | "
        f"Of the time of {manifest.model.itself} | Size, kB",
        (3, 4, 5, 6, 7),
    )
    note = (
        "The chapters below describe how each figure was measured. An artifact is named target/precision/variant. "
        "With other programs running, the CPU median varies less than the wall-clock median."
    )
    return Table(*without_empty_columns(columns, rows), "All files", note) if rows else None


def _checks(artifact: ArtifactRecord) -> Cell:
    failed = sum(not p.passed for p in artifact.parities)
    if not artifact.parities:
        return Cell("not checked", "muted")
    return Cell(f"{failed} FAILED", "bad") if failed else Cell("passed", "good")


def _to_pytorch(artifact: ArtifactRecord) -> Cell:
    for report in artifact.parities:
        if report.reference.startswith(NETWORKS):
            return _psnr(report)
    return Cell("not measured", "muted")


def _psnr(report: ParityReport) -> Cell:
    equal = report.exact_share == 1 and report.max_abs == 0
    if report.same is not None and not equal:
        return Cell(distance(report))
    if report.basis == "values" and not equal:
        return optional(report.sqnr_db, "{:.2f} (SQNR)".format)
    return Cell("∞ (equal)") if equal else optional(report.psnr_db, "{:.2f}".format)


def artifacts(manifest: Manifest) -> Table:
    """The written files, with the pixel contracts of input and output."""
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
        headed("Artifact | Size, kB | Input | Output | File | SHA-256", (1,), (2, 3)),
        rows,
        "Artifacts",
        "1 kB is 1000 bytes. A pixel is a real value in the stated "
        "range; q is the number in the tensor. SHA-256 is truncated to 12 digits: SHA256SUMS has all.",
    )


def parity(manifest: Manifest) -> Table:
    """Every artifact against its reference, by every runtime that ran it."""
    named = any(report.output for a in manifest.artifacts for report in a.parities)
    more = "Output | Metric | " if named else ""
    columns = headed(
        f"Artifact | Verdict | {more}How it was checked | Against | PSNR, dB | Largest difference, levels | "
        "Mean difference, levels | Equal pixels, % | Compared as | Allowed",
        (6, 7, 8, 9) if named else (4, 5, 6, 7),
        (4, 5, 10, 11) if named else (2, 3, 8, 9),
    )
    rows = tuple(
        _parity_row(a, cell, len(columns))
        for a in manifest.artifacts
        for cell in (a.parity, *(c for c in a.cross_checks if not isinstance(c, Skipped)))
    )
    return Table(
        columns,
        rows,
        "Parity",
        "Each file was read back from disk and run in a separate process on the golden input. “ran on” names a real "
        "runtime; “reference-evaluated” is clearport's own evaluator of the saved file, for runtimes that do not "
        "exist on this platform. A level is 1/255 of the value range; PSNR is over RGB with peak 255, without "
        "cropping.",
    )


def steps(manifest: Manifest) -> Table | None:
    """The int8 steps of every file, by each runtime that can output intermediate tensors; None if none was proven."""
    rows = tuple(
        (
            Cell(artifact.key, code=True),
            Cell("passed", "good") if found.passed else Cell(f"not all: {'; '.join(found.failures)}", "bad"),
            Cell(found.method),
            Cell(found.sample),
            Cell(str(found.steps)),
            Cell(f"{found.values:,}"),
            Cell(f"{found.differing:,}"),
            Cell(str(found.levels)),
            Cell(found.worst or "–", code=bool(found.worst)),
        )
        for artifact in manifest.artifacts
        for found in artifact.steps
    )
    columns = headed(
        "Artifact | Verdict | How it was checked | Picture | Steps | Values | Different values | "
        "Largest difference, int8 levels | Most in",
        (4, 5, 6, 7),
        (1, 2),
    )
    about = (
        "Each int8 step separately: intermediate tensors are read while the file runs, and each is compared with the "
        "QDQ model's output for the same input levels. A step passes if no value is more than a level apart, and at "
        f"least {1 - MOST_OFF:.2%} are equal or ties (values within {TIE:g} levels of the boundary between two). If "
        f"all steps pass, the file's output may be judged by its distance to PyTorch only: the remaining "
        f"differences are ties that the network amplifies."
    )
    return Table(columns, rows, "Steps", about) if rows else None


def unchecked(manifest: Manifest) -> Table | None:
    """Further runtimes that could not run an artifact, by reason; None if all could."""
    by_reason: dict[str, list[str]] = {}
    for cell in (cell for a in manifest.artifacts for cell in a.cross_checks):
        if isinstance(cell, Skipped):
            by_reason.setdefault(cell.reason, []).append(cell.what)
    rows = tuple((Cell(reason), Cell(", ".join(what))) for reason, what in by_reason.items())
    return Table(headed("Reason | Not checked"), rows, "Skipped further checks") if rows else None


def _parity_row(artifact: ArtifactRecord, cell: ParityCell, columns: int) -> tuple[Cell, ...]:
    first = Cell(artifact.key, code=True)
    if isinstance(cell, Skipped):
        return unmeasured(first, cell.reason, columns)
    return (
        first,
        Cell("passed", "good") if cell.passed else Cell(f"FAILED: {'; '.join(cell.failures)}", "bad"),
        *((Cell(cell.output), Cell(figures(cell))) if columns > _PLAIN_COLUMNS else ()),
        Cell(cell.method),
        Cell(cell.reference),
        *_figures(cell),
        Cell(cell.basis),
        Cell(str(cell.tolerance)),
    )


_PLAIN_COLUMNS = 10


def _figures(cell: ParityReport) -> tuple[Cell, ...]:
    """PSNR, largest and mean difference, and equal pixels, for pictures."""
    if cell.basis == "values":
        return (NOTHING,) * 4
    return (
        _psnr(cell),
        optional(cell.max_abs, _level),
        optional(cell.mean_lsb, _level),
        optional(cell.exact_share, percent),
    )


def _level(value: float) -> str:
    return trimmed(number(value))


def quality(manifest: Manifest) -> Table | None:
    """Figures against ground truth, one row per artifact and data set; None if there are none."""
    if not manifest.quality:
        return None
    found = {(q.subject, q.data, q.metric): q for q in manifest.quality}
    metrics = list(dict.fromkeys(q.metric for q in manifest.quality))
    units = {q.metric: f", {q.unit}" if q.unit else "" for q in manifest.quality}
    rows = tuple(
        (
            Cell(subject, code=True),
            Cell(f"{data}, {counted(images, 'picture')}"),
            *(_figure(found.get((subject, data, metric))) for metric in metrics),
            _gate([found[key].passed for key in found if key[:2] == (subject, data)]),
        )
        for subject, data, images in dict.fromkeys((q.subject, q.data, q.images) for q in manifest.quality)
    )
    columns = ["Network or artifact", "Data", *(f"{m}{units[m]} (change)" for m in metrics), "Gate"]
    protocols = dict.fromkeys(q.protocol for q in manifest.quality)
    change = f"the change to {manifest.model.itself}, fp32, on the same pictures"
    note = f"In brackets: {change}. Protocol: {'; '.join(protocols)}."
    numbers = tuple(range(2, 2 + len(metrics)))
    return Table(headed(" | ".join(columns), numbers), rows, "Quality against ground truth", note)


def _figure(record: QualityRecord | None) -> Cell:
    if record is None:
        return NOTHING
    change = "" if record.change is None else f" ({record.change:+.3f})".replace("-", "−")
    return Cell(f"{record.value:.{3 if record.unit else 4}f}{change}")


def _gate(passed: list[bool | None]) -> Cell:
    if False in passed:
        return Cell("FAILED", "bad")
    return Cell("passed", "good") if True in passed else Cell("no gate", "muted")


def skipped(manifest: Manifest) -> Table:
    """Skipped artifacts with reasons."""
    rows = tuple((Cell(s.what, code=True), Cell(s.reason)) for s in manifest.skipped)
    return Table(headed("Left out | Reason"), rows, "Left out")


def lint(manifest: Manifest) -> Table | None:
    """Findings on accelerators, each once; None if there are none."""
    tones: dict[str, Tone] = {"note": "muted", "warning": "", "error": "bad"}
    found: dict[LintFinding, list[str]] = {}
    for artifact in manifest.artifacts:
        for finding in artifact.lint:
            found.setdefault(finding, []).append(artifact.key)
    rows = tuple(
        (Cell(", ".join(keys)), Cell(f.level, tones[f.level]), Cell(f.rule), Cell(f.layer, code=True), Cell(f.message))
        for f, keys in found.items()
    )
    columns = headed("Artifacts | Level | Rule | Layer | Remark")
    return Table(*without_empty_columns(columns, rows), "Remarks") if rows else None


def quantization(manifest: Manifest) -> Table | None:
    """Provenance of the scale table; None for a bundle without int8."""
    q = manifest.quantization
    if q is None:
        return None
    rows = (
        (Cell("Scheme"), Cell(q.scheme)),
        (Cell("Calibrator"), Cell(q.calibrator)),
        (Cell("Calibration pictures"), Cell(count(q.images))),
        (Cell("SHA-256 of the pictures"), Cell(q.images_sha256[:12], code=True)),
        *(((Cell("Int8 to float, simulated"), Cell(f"{q.simulated_psnr_db:.1f} dB")),) if q.simulated_psnr_db else ()),
        (Cell("In float by choice"), Cell(", ".join(q.float_layers) or "nothing")),
        (Cell("In float: no int8 form"), Cell(_islands(q.islands) or "nothing")),
        (Cell("Scale table"), Cell(q.table, code=True)),
        (Cell("Quantized reference"), Cell(q.reference, code=True)),
    )
    return Table(headed("What | Value"), rows, "Quantization")


def _islands(nodes: Mapping[str, str]) -> str:
    """Operators with counts, such as ``Div (2), Pow``."""
    counted = Counter(nodes.values())
    return ", ".join(f"{operator} ({n})" if n > 1 else operator for operator, n in sorted(counted.items()))


def weights(manifest: Manifest) -> Table | None:
    """Facts about the weights that are not in the head of the report; None if there are none."""
    card = {name: value for name, value in (manifest.model.card or {}).items() if name not in _IN_THE_HEAD}
    ordered = sorted(card, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    rows: list[tuple[Cell, ...]] = []
    for name in ordered:
        value = card[name]
        for place, item in enumerate(value if isinstance(value, list) else [value]):
            rows.append((Cell("" if place else name.replace("_", " ")), Cell(in_words(item))))
    return Table(headed("What | Value"), tuple(rows), "Weights") if rows else None


def versions(manifest: Manifest) -> Table:
    """Versions of the tools that wrote the bundle."""
    host = manifest.host
    rows = [(Cell(name), Cell(version, code=True)) for name, version in sorted(manifest.tool_versions.items())]
    rows += [(Cell("Python"), Cell(host.python, code=True)), (Cell("System"), Cell(f"{host.system}, {host.machine}"))]
    return Table(headed("Tool | Version"), tuple(rows), "Tool versions")
