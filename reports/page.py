"""The report of a bundle as a ``Page``: its chapters and its summary."""

from __future__ import annotations

from clearport.base import Skipped
from clearport.bundle.manifest import Manifest, PaperRecord
from clearport.registry import TARGETS
from clearport.reports import times
from clearport.reports.cells import present
from clearport.reports.choice import pareto
from clearport.reports.choice.picks import chosen, picks
from clearport.reports.content import Cell, Page, Section, Table, Tone
from clearport.reports.tables import apple, devices, floats, general, latency
from clearport.reports.text import count, kilobytes, large
from clearport.reports.usage import usages
from clearport.runtime.latency.record import LatencyReport
from clearport.words import task_title

EVALUATED = "reference-evaluated"
"""The method of clearport's own evaluator (``runtime/runners/milref.py``)."""


def page(manifest: Manifest) -> Page:
    """The full content of a report of this manifest."""
    model = manifest.model
    sentence, tone = _verdict(manifest)
    return Page(
        title=f"{model.name} ×{model.scale}" if model.scale > 1 else model.name,
        summary=_summary(manifest),
        verdict=sentence,
        tone=tone,
        failures=tuple(manifest.failures()),
        answer=_answer(manifest),
        picks=picks(manifest),
        caveats=_caveats(manifest),
        facts=_facts(manifest),
        sections=_sections(manifest),
    )


def _summary(manifest: Manifest) -> str:
    titles = (TARGETS.get(a.target).title for a in manifest.artifacts)
    targets = ", ".join(dict.fromkeys(titles)) or "no target"
    number = len(manifest.artifacts)
    files = _files(manifest)
    proof = "Each was read back from disk, run and compared with its reference."
    checked = number and all(a.parities for a in manifest.artifacts)
    return f"{task_title(manifest.model.task)}, exported to {files} for {targets}. {proof if checked else ''}".rstrip()


def _verdict(manifest: Manifest) -> tuple[str, Tone]:
    """One sentence on the number of passed, failed and missing checks; and its tone."""
    checks = [p.passed for a in manifest.artifacts for p in a.parities]
    checks += [q.passed for q in manifest.quality if q.passed is not None]
    blind = sum(not a.parities for a in manifest.artifacts)
    failed = checks.count(False)
    if not checks:
        return "Nothing was checked.", "muted"
    sentence = f"{failed} of {len(checks)} checks failed." if failed else f"All {len(checks)} checks passed."
    if blind:
        sentence += f" {blind} artifact{' was' if blind == 1 else 's were'} not checked: see Parity."
    return sentence, "bad" if failed else "good"


def _answer(manifest: Manifest) -> tuple[tuple[str, str, str], ...]:
    """The recommended files: path, size, places; those for most places first."""
    places = chosen(manifest)
    files = sorted((a for a in manifest.artifacts if a.key in places), key=lambda a: -places[a.key].count(";"))
    return tuple((a.path, f"{kilobytes(a.bytes)} kB", places[a.key]) for a in files)


def _caveats(manifest: Manifest) -> tuple[str, ...]:
    """Missing evidence for the recommendations."""
    found = []
    if manifest.artifacts and not any(q.change is not None for q in manifest.quality):
        found.append("Quality against ground truth was not measured: clearport eval . --data PAIRS --record")
    timed = [a for a in manifest.artifacts if isinstance(a.latency, LatencyReport)]
    if manifest.artifacts and not timed and not manifest.device_rows:
        found.append("No latency was measured: clearport bench . --record")
    if timed and (busy := times.busy(manifest.host)):
        found.append(busy)
    evaluated = sorted({a.target for a in manifest.artifacts if any(p.method == EVALUATED for p in a.parities)})
    if evaluated:
        titles = ", ".join(TARGETS.get(name).title for name in evaluated)
        found.append(f"{titles} files were proven by clearport's evaluator, not by Apple's runtime: that needs a Mac")
    return tuple(found)


def _facts(manifest: Manifest) -> tuple[tuple[str, Cell], ...]:
    model = manifest.model
    size = "any" if model.size == "dynamic" else model.size.replace("x", " × ")
    multiple = f" (multiples of {model.size_multiple})" if model.size == "dynamic" and model.size_multiple > 1 else ""
    return (
        ("Task", Cell(model.task)),
        ("Scale", Cell(f"×{model.scale}")),
        ("Input size, height × width", Cell(size + multiple)),
        ("Parameters", Cell(count(model.params))),
        ("Multiply-accumulates", Cell(f"{large(model.macs)} at {model.macs_size.replace('x', ' × ')}")),
        ("Halo", Cell(f"{model.halo} input pixels")),
        ("License of the weights", Cell(model.license)),
        ("Weights, SHA-256", Cell(model.weights_sha256[:12], code=True)),
        *_paper(model.paper),
        ("Made", Cell(manifest.host.created)),
    )


def _paper(paper: PaperRecord | None) -> tuple[tuple[str, Cell], ...]:
    if paper is None:
        return ()
    place = "doi" if paper.arxiv.startswith("10.") else "arXiv"
    return (("Paper", Cell(f"{paper.title}, {place}:{paper.arxiv}")),)


def _sections(manifest: Manifest) -> tuple[Section, ...]:
    return present(
        _cost(manifest),
        floats.floats(manifest),
        _latency(manifest),
        apple.apple(manifest),
        _quality(manifest),
        _devices(manifest),
        _usage(manifest),
        Section(
            "glance",
            "All files",
            "" if manifest.artifacts else "No artifact.",
            folded=bool(manifest.artifacts),
            hint=f"{_files(manifest)} with their figures",
            tables=_glance(manifest),
        ),
        _latency_in_figures(manifest),
        _skipped(manifest),
        Section(
            "artifacts",
            "Inputs, outputs and sizes of the files",
            folded=True,
            hint=f"pixel contracts of {_files(manifest)}",
            tables=(general.artifacts(manifest),),
        ),
        Section(
            "parity",
            "Parity",
            folded=True,
            hint=_verdict(manifest)[0].rstrip("."),
            tables=present(
                general.parity(manifest), general.steps(manifest), general.unchecked(manifest), general.lint(manifest)
            ),
        ),
        _quantization(manifest),
        _weights(manifest),
        Section(
            "versions",
            "Tool versions",
            folded=True,
            hint=f"made {manifest.host.created}",
            tables=(general.versions(manifest),),
        ),
    )


def _cost(manifest: Manifest) -> Section | None:
    """The plots of quality against time and size; None without two comparable files."""
    found = pareto.scatters(manifest)
    if not found:
        return None
    intro = "Each point is a file: higher is closer to the network, further left is cheaper."
    return Section("cost", "What quality costs", intro, scatters=found)


def _glance(manifest: Manifest) -> tuple[Table, ...]:
    return present(general.glance(manifest))


def _files(manifest: Manifest) -> str:
    number = len(manifest.artifacts)
    return f"{number} artifact{'' if number == 1 else 's'}"


def _quality(manifest: Manifest) -> Section:
    table = general.quality(manifest)
    intro = (
        "" if table else "Not measured: this bundle was not evaluated against ground truth (clearport eval does it)."
    )
    return Section("quality", "Quality", intro, tables=present(table))


def _latency(manifest: Manifest) -> Section:
    cells = [manifest.baseline.latency, *(a.latency for a in manifest.artifacts)]
    reasons = sorted({cell.reason for cell in cells if isinstance(cell, Skipped)})
    if len(reasons) == 1 and all(isinstance(cell, Skipped) for cell in cells):
        return Section("latency", "Latency", f"Not measured: {reasons[0]}.")
    return Section("latency", "Latency", _protocol(manifest), spreads=latency.spreads(manifest))


def _protocol(manifest: Manifest) -> str:
    size = manifest.model.macs_size.replace("x", " × ")
    return (
        f"Wall-clock time of one inference at {size} on {manifest.host.cpu}, all candidates interleaved. Each line is "
        "a sample, the thick one the median; in brackets the minimum and the 90th percentile. All figures are in "
        "“Latency in figures”."
    )


def _latency_in_figures(manifest: Manifest) -> Section | None:
    table = latency.latency(manifest)
    if all(len(row) < len(table.columns) for row in table.rows):
        return None
    return Section("latencies", "Latency in figures", "", True, "medians, ratios, memory, units", (table,))


def _devices(manifest: Manifest) -> Section:
    nobody = "None yet: “clearport bench --device … --record” adds phones, boards, NPUs and browsers."
    intro = devices.KINDS if manifest.devices else nobody
    return Section(
        "devices",
        "Devices",
        intro,
        tables=devices.devices(manifest),
        plots=devices.sustained(manifest),
    )


def _quantization(manifest: Manifest) -> Section:
    table = general.quantization(manifest)
    intro = "" if table else "Nothing in this bundle is quantized to int8 by a scale table."
    hint = "" if manifest.quantization is None else manifest.quantization.calibrator
    return Section("quantization", "Quantization", intro, bool(table), hint, present(table))


def _weights(manifest: Manifest) -> Section:
    table = general.weights(manifest)
    intro = "" if table else "Their training is unknown."
    return Section("weights", "Weights", intro, bool(table), manifest.model.license, present(table))


def _skipped(manifest: Manifest) -> Section:
    if not manifest.skipped:
        return Section("skipped", "Left out", "Nothing: all requested files were written.", True, "nothing")
    return Section("skipped", "Left out", tables=(general.skipped(manifest),))


def _usage(manifest: Manifest) -> Section:
    found = usages(manifest)
    intro = "Each piece of code is for the files above it and includes the artifact's pixel contract." if found else ""
    return Section("usage", "How to use them", intro or "No artifact, no code.", usages=found)
