"""Recommended files: one for each place where the bundle's files run, by its checks and measurements.

The rule, for each place (``reports/choice/places.py``):

1. A file that failed a check, a gate or a golden picture on a device is out, as is one that nothing checked.
2. A file with a *doubt* comes after all without one: fp16 that float16 arithmetic spoils, on units that compute in it;
   more than ``MOST_LOST`` dB lost against ground truth; a warning of an NPU's compiler.
3. Of the rest the fastest is picked, by rows of devices of that kind, or else by this machine's own times if it is such
   a device. Without either, the place's order of preference decides, and the pick says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.base import Skipped
from clearport.reports import times
from clearport.reports.choice.places import OF_A_FILE, PLACES, WHY, Place
from clearport.reports.content import Pick
from clearport.reports.figures import distance
from clearport.reports.tables.floats import float_layers
from clearport.reports.text import count, kilobytes, number
from clearport.runtime.devices.device import EstimateReport
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.parity import NETWORKS
from clearport.words import counted

if TYPE_CHECKING:
    from clearport.bundle.bench_record import BenchRow
    from clearport.bundle.manifest import ArtifactRecord, Manifest
    from clearport.runtime.parity import ParityReport

MOST_LOST = 0.3
"""dB against ground truth that a recommended file may lose, if another one loses less: half as much again as the
quantizer leaves (0.19 dB, ``quantize/placement/terms.py``)."""

HALF_RULE = "float16-arithmetic"
"""The finding of ``pipeline/lint/artifact.py`` on fp16 files; a warning where float16 arithmetic spoils the output."""

NNAPI_RULE = "nnapi"
"""Its first finding on a TFLite file summarizes NNAPI's predicted support."""

_NAMED = 3
_TWIN = re.compile(r"(?:twin for|at) (\d+x\d+)")
"""Suffix that ``pipeline/twins.py`` adds to the method of a proof."""


def picks(manifest: Manifest) -> tuple[Pick, ...]:
    """One recommendation for each place that the bundle has files for."""
    found = ((place, [a for key in place.wanted for a in manifest.artifacts if a.key == key]) for place in PLACES)
    return tuple(_pick(_Choice(manifest, place), files) for place, files in found if files)


def chosen(manifest: Manifest) -> dict[str, str]:
    """Key of a recommended artifact -> the places that it is for."""
    places: dict[str, list[str]] = {}
    for pick in picks(manifest):
        if pick.artifact:
            places.setdefault(pick.artifact, []).append(pick.place)
    return {key: "; ".join(names) for key, names in places.items()}


def to_network(artifact: ArtifactRecord) -> ParityReport | None:
    """The parity report against the network itself, on the photo, by the first runtime; the worst of several
    outputs.
    """
    first = next((p for p in artifact.parities if p.reference.startswith(NETWORKS)), None)
    if first is None:
        return None
    alike = [p for p in artifact.parities if (p.method, p.reference) == (first.method, first.reference)]
    return min([p for p in alike if p.same is None] or alike, key=_nearness)


def _nearness(report: ParityReport) -> float:
    if report.same is not None:
        return report.same
    figure = report.sqnr_db if report.basis == "values" else report.psnr_db
    return math.inf if figure is None else figure


def lost_db(manifest: Manifest, artifact: ArtifactRecord) -> float | None:
    """What it loses against ground truth in dB, by the first metric of the worst data set; None: not measured."""
    firsts: dict[str, float] = {}
    for q in manifest.quality:
        if q.subject == artifact.key and q.unit == "dB" and q.change is not None:
            firsts.setdefault(q.data, -q.change)
    return max(firsts.values(), default=None)


def _pick(choice: _Choice, files: Sequence[ArtifactRecord]) -> Pick:
    place = choice.place
    passed = [a for a in files if sound(choice.manifest, a)]
    if not passed:
        why = "; ".join(f"{a.key} {'failed a check' if a.parities else 'was not checked'}" for a in files)
        return Pick(place.title, "", "", (), f"None can be recommended: {why}.")
    ranked, how = choice.ranked(passed)
    best = ranked[0]
    words = " ".join(filter(None, (how, *choice.about(best), *choice.passed_over(files, best))))
    return Pick(
        place.title, best.key, best.path, choice.figures(best), words, _instead(ranked), choice.unmeasured(best)
    )


def sound(manifest: Manifest, artifact: ArtifactRecord) -> bool:
    """Whether it has checks and all of them passed."""
    gates = all(q.passed is not False for q in manifest.quality if q.subject == artifact.key)
    rows = [row.golden for row in manifest.device_rows if row.artifact == artifact.key]
    goldens = all(isinstance(golden, Skipped) or golden.passed for golden in rows)
    return bool(artifact.parities) and all(p.passed for p in artifact.parities) and gates and goldens


@dataclass(frozen=True)
class _Choice:
    """The ranking of a bundle's files for a place."""

    manifest: Manifest
    place: Place

    def ranked(self, sound: Sequence[ArtifactRecord]) -> tuple[list[ArtifactRecord], str]:
        """The files, best first, and the deciding criterion."""
        on_device = {a.key: (_ms(row), row) for a in sound if (row := self.row(a)) is not None}
        if on_device:
            order = self._ordered(sound, {key: ms for key, (ms, _) in on_device.items()})
            if order[0].key in on_device:
                _, row = on_device[order[0].key]
                verb = "measured on" if isinstance(row.cell, LatencyReport) else "compiled for"
                return order, f"{_first_of(len(on_device))} {verb} {row.device}."
        here = {a.key: times.typical(a.latency)[0] for a in sound if self.is_here(a)}  # type: ignore[arg-type]  # so it is
        if not here:
            return self._ordered(sound, {}), ""
        order = self._ordered(sound, here)
        return order, f"{_first_of(len(here))} measured here." if order[0].key in here else ""

    def _ordered(self, sound: Sequence[ArtifactRecord], ms: dict[str, float]) -> list[ArtifactRecord]:
        """Those without a doubt first, then the fastest, then the preferred ones."""
        return sorted(sound, key=lambda a: (bool(self.doubt(a)), ms.get(a.key, float("inf"))))

    def doubt(self, artifact: ArtifactRecord) -> str:
        """The doubt about a file that passed its checks; empty if none."""
        lost = lost_db(self.manifest, artifact)
        if lost is not None and lost > MOST_LOST:
            return f"loses {lost:.2f} dB against ground truth"
        spoiled = any(f.rule == HALF_RULE and f.level == "warning" for f in artifact.lint)
        if artifact.precision == "fp16" and spoiled and set(self.place.units) & {"gpu", "npu"}:
            return "does not hold in float16 arithmetic"
        row = self.row(artifact)
        if row is not None and isinstance(row.cell, EstimateReport) and row.cell.warnings:
            return f"has a warning of its compiler: {'; '.join(row.cell.warnings)}"
        return ""

    def row(self, artifact: ArtifactRecord) -> BenchRow | None:
        """The fastest row on a device of the place; compiler estimates count if nothing was measured."""
        rows = [row for row in self.manifest.device_rows if row.artifact == artifact.key and self._counts(row)]
        for kind in (LatencyReport, EstimateReport):
            found = [row for row in rows if isinstance(row.cell, kind)]
            if found:
                return min(found, key=_ms)
        return None

    def _counts(self, row: BenchRow) -> bool:
        family = row.device.split(":")[0]
        if family not in self.place.families:
            return False
        ran = row.cell.unit_ran if isinstance(row.cell, LatencyReport) else row.unit
        facts = next((d.facts for d in self.manifest.devices if d.address == row.device), {})
        fits = not self.place.machines or facts.get("machine") in self.place.machines
        return ran in self.place.units and fits

    def is_here(self, artifact: ArtifactRecord) -> bool:
        """Whether the bundle's own times were taken on such a device."""
        there = self.manifest.host.machine in self.place.machines and "cpu" in self.place.units
        return there and isinstance(artifact.latency, LatencyReport)

    def about(self, best: ArtifactRecord) -> list[str]:
        """Arguments for the file, besides its time."""
        first = best.precision == self.place.wanted[0].split("/")[1]
        kind = OF_A_FILE.get(f"{best.target}/{best.precision}", "")
        why = WHY[self.place.title] if first else f"{best.key}: {kind}." if kind else ""
        ends = (
            "Its inputs and outputs are images: it accepts a CVPixelBuffer directly." if best.variant == "image" else ""
        )
        doubt = self.doubt(best)
        doubted = f"But it {doubt}." if doubt else ""
        return [why, ends, self._floats(best), *self._predicted(best), doubted]

    def _floats(self, best: ArtifactRecord) -> str:
        """Share of it that an integer accelerator supports: by a compiler, or else by the scale table."""
        if not self.place.integers or best.precision != "int8":
            return ""
        row = self.row(best)
        if row is not None and isinstance(row.cell, EstimateReport):
            left = [f"{f.operator} ({f.layer})" for f in row.cell.fallbacks]
            return f"Its compiler leaves {_some(left)} to the CPU." if left else "Its compiler supports every operator."
        left = [f"{op} ({name})" if op else name for name, op in float_layers(self.manifest.quantization).items()]
        if left:
            layers = f"{counted(len(left), 'layer')} of it {'is' if len(left) == 1 else 'are'} float"
            return f"{layers}, which most NPUs leave to the CPU: {_some(left)}."
        return "No layer of it is float, so an NPU may run all of it."

    def _predicted(self, best: ArtifactRecord) -> list[str]:
        """NNAPI's predicted support for a file on phone NPUs, if nothing ran on one."""
        if "npu" not in self.place.units or "adb" not in self.place.families or self.row(best) is not None:
            return []
        return [f"{finding.message}." for finding in best.lint if finding.rule == NNAPI_RULE][:1]

    def passed_over(self, files: Sequence[ArtifactRecord], best: ArtifactRecord) -> list[str]:
        """Files that the place prefers, and why they were not picked."""
        better = [a for a in files if self.place.wanted.index(a.key) < self.place.wanted.index(best.key)]
        why = ((a, "failed a check" if not sound(self.manifest, a) else self.doubt(a)) for a in better)
        return [f"Not {a.key}: it {reason}." for a, reason in why if reason]

    def figures(self, artifact: ArtifactRecord) -> tuple[tuple[str, str], ...]:
        """Its costs: time, size, and loss."""
        return (
            *self._time(artifact),
            ("Size", f"{kilobytes(artifact.bytes)} kB"),
            _fidelity(self.manifest, artifact),
            *(_quality(self.manifest, artifact) or _simulated(self.manifest, artifact)),
        )

    def _time(self, artifact: ArtifactRecord) -> list[tuple[str, str]]:
        row = self.row(artifact)
        if row is not None and isinstance(row.cell, EstimateReport):
            return [(f"Estimated for {row.device}, nothing ran", f"~{number(row.cell.estimated_ms)} ms")]
        if row is not None and isinstance(row.cell, LatencyReport):
            return [(f"Time on {row.device}, {row.cell.unit_ran}", f"{number(row.cell.median_ms)} ms")]
        if isinstance(artifact.latency, Skipped) or "cpu" not in self.place.units:
            return [("Time", "not measured")]  # CPU time is no evidence for other units
        ms, what = times.typical(artifact.latency)
        if not self.is_here(artifact):
            elsewhere = (f"Time on this {self.manifest.host.machine} CPU", f"{number(ms)} ms")
            return [("Time there", "not measured"), elsewhere]
        ratio = times.share(artifact.latency)
        of = [] if ratio is None else [(f"Of {self.manifest.model.itself}'s time", f"{ratio.value:.2f}")]
        return [(f"Time here, {what}", f"{number(ms)} ms"), *of]

    def unmeasured(self, artifact: ArtifactRecord) -> str:
        """The command that measures or estimates its time there; empty if that was done."""
        if self.row(artifact) is not None or self.is_here(artifact):
            return ""
        return f"clearport bench . {self.place.measured_by} --record".replace("  ", " ")


def _first_of(files: int) -> str:
    return f"The fastest of {count(files)} files" if files > 1 else "The only file"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {count(more)} more" if more > 0 else "")


def _ms(row: BenchRow) -> float:
    if isinstance(row.cell, EstimateReport):
        return row.cell.estimated_ms
    assert isinstance(row.cell, LatencyReport)
    return row.cell.median_ms


def _fidelity(manifest: Manifest, artifact: ArtifactRecord) -> tuple[str, str]:
    report = to_network(artifact)
    of = f"to {manifest.model.itself}"
    if report is None:
        return f"PSNR {of}", "not measured"
    word = "Share equal" if report.same is not None else "SQNR" if report.basis == "values" else "PSNR"
    twin = f", at {size.replace('x', ' × ')}" if (size := twin_of(artifact)) else ""
    return f"{word} {of}{twin}", distance(report).removeprefix(f"{word} ").removesuffix(" equal")


def twin_of(artifact: ArtifactRecord) -> str:
    """The size of the small pictures with which an artifact was proven; empty if it was proven at its own size."""
    report = to_network(artifact)
    found = None if report is None else _TWIN.search(report.method)
    return found[1] if found else ""


def _simulated(manifest: Manifest, artifact: ArtifactRecord) -> list[tuple[str, str]]:
    """The quantizer's estimate of int8's loss, from its error on the calibration photos."""
    q = manifest.quantization
    if q is None or q.simulated_loss_db is None or artifact.precision != "int8":
        return []
    return [("Loss against ground truth, estimated", f"{q.simulated_loss_db:.3f} dB")]


def _quality(manifest: Manifest, artifact: ArtifactRecord) -> list[tuple[str, str]]:
    """Its loss against ground truth, per data set."""
    found = {
        q.data: (f"Change on {q.data}", f"{q.change:+.3f} {q.unit}".replace("-", "−").rstrip())
        for q in reversed(manifest.quality)
        if q.subject == artifact.key and q.change is not None
    }
    return list(reversed(found.values()))


def _instead(ranked: Sequence[ArtifactRecord]) -> str:
    """The best alternative of another precision or target, and its use."""
    kind: Callable[[ArtifactRecord], str] = lambda a: f"{a.target}/{a.precision}"  # noqa: E731  used twice
    other = next((a for a in ranked[1:] if kind(a) != kind(ranked[0]) and kind(a) in OF_A_FILE), None)
    return "" if other is None else f"{other.key}: {OF_A_FILE[kind(other)]}."
