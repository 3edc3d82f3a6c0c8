"""Evaluation of tasks with a judge of their own: figures with intervals, each artifact against PyTorch fp32."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import QualityRecord
from clearport.errors import BadInput
from clearport.pipeline.evaluation.attempt import Attempts
from clearport.pipeline.evaluation.gate import check_names, checksum_checks, sound, verdict_of
from clearport.pipeline.evaluation.judge import Opened
from clearport.pipeline.evaluation.rows import PYTORCH
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.pipeline.prove import network_of, runner_of
from clearport.pipeline.run import tiling_of
from clearport.pipeline.select import select
from clearport.reports.junit import Check
from clearport.runtime import figures

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from clearport.base import Artifact, Skipped
    from clearport.bundle.files import Mismatch
    from clearport.pictures.images import Image8
    from clearport.pipeline.evaluation.judge import Found, Judge
    from clearport.pipeline.evaluation.rows import EvalRequest, Verdict
    from clearport.protocols import Progress
    from clearport.runtime.figures import Figure, Metric, Score

_GATES = frozenset({"max_drop", "min_psnr", "confidence"})


@dataclass(frozen=True)
class MeasuredRow:
    """One artifact, or PyTorch, with a figure per metric of the task; ``verdict`` as in ``EvalRow``."""

    subject: str
    figures: tuple[Figure, ...]
    verdict: Verdict | None = None


@dataclass(frozen=True)
class MeasuredOutcome:
    """Every row, every gate as a check, and artifacts that could not be evaluated here; see ``EvalOutcome``."""

    data: str
    images: int
    metrics: tuple[Metric, ...]
    protocol: str
    rows: tuple[MeasuredRow, ...]
    checks: tuple[Check, ...]
    skipped: tuple[Skipped, ...]
    found: str
    tiles: Image8 | None = None

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(check.passed is not False for check in self.checks)

    def records(self) -> tuple[QualityRecord, ...]:
        """The figures for the manifest."""
        known = {metric.name: metric for metric in self.metrics}
        return tuple(
            QualityRecord(
                subject=row.subject,
                data=self.data,
                images=self.images,
                metric=figure.metric,
                protocol=self.protocol,
                unit=known[figure.metric].unit,
                value=figure.value,
                change=figure.change,
                passed=None if row.verdict is None or number else row.verdict == "passed",
            )
            for row in self.rows
            for number, figure in enumerate(row.figures)
            if math.isfinite(figure.value)
        )

    def to_dict(self) -> dict[str, Any]:
        """The outcome for JSON."""
        metrics = [{"name": m.name, "unit": m.unit, "more_is_better": m.more} for m in self.metrics]
        rows = [asdict(row) for row in self.rows]
        for figure in (figure for row in rows for figure in row["figures"]):
            figure["value"] = figure["value"] if math.isfinite(figure["value"]) else None
        return {
            "data": self.data,
            "examples": self.images,
            "metrics": metrics,
            "protocol": self.protocol,
            "rows": rows,
            "checks": [asdict(check) for check in self.checks],
            "skipped": [asdict(each) for each in self.skipped],
            "found": self.found,
            "passed": self.passed,
        }


def evaluate(
    bundle: Bundle, request: EvalRequest, judge: Judge, held_back: Collection[str] | None, progress: Progress
) -> MeasuredOutcome:
    """Score every artifact on the examples of a folder, paired with PyTorch.

    Raises:
        BadInput: no such artifact, no examples, or a gate that does not apply to the task.
    """
    _check_gates(request, judge)
    check_names(bundle, request.require)
    found = judge.examples(request.data, held_back)
    records = select(bundle, request.targets, request.precisions)
    progress("checking checksums", 0, 0)
    wrong: Sequence[Mismatch] = bundle.verify_files()
    run = _Run(bundle, request, judge, found, progress, checksum_checks(wrong))
    artifacts = [bundle.artifact(record) for record in sound(records, wrong)]
    if artifacts:
        run.baseline(artifacts[0])
    for artifact in artifacts:
        run.judge(artifact)
    return run.outcome()


def _check_gates(request: EvalRequest, judge: Judge) -> None:
    limits, first = request.limits, judge.metrics[0]
    allowed = _GATES if first.unit == "dB" else _GATES - {"min_psnr"}
    refused = [name for name in limits.given if name not in allowed]
    refused += ["worst_tiles"] if request.worst_tiles is not None else []
    if refused:
        option = "--" + refused[0].replace("_", "-")
        raise BadInput(f"{option}: it compares restored pictures; this task is judged by {first.name}: use --max-drop")


class _Run:
    """Scores artifacts one by one."""

    def __init__(
        self, bundle: Bundle, request: EvalRequest, judge: Judge, found: Found, progress: Progress, checks: list[Check]
    ) -> None:
        self._bundle, self._request, self._judge, self._found = bundle, request, judge, found
        self._progress, self._attempts = progress, Attempts(checks, request)
        self._groups = [example.group for example in found.examples]
        self._wanted: list[Score] = []
        self._rows: list[MeasuredRow] = []

    def baseline(self, like: Artifact) -> None:
        """PyTorch on the artifacts' inputs."""
        network = network_of(self._bundle)
        self._wanted = self._scores(PYTORCH, runner_of(network)[0], network, like)
        self._rows.append(MeasuredRow(PYTORCH, self._figures(self._wanted, None)))

    def judge(self, artifact: Artifact) -> None:
        """Score one artifact and apply the gates."""
        done = self._attempts.judged(artifact, lambda runner: self._scores(artifact.key, runner, artifact, artifact))
        if done is None:
            return
        scores, seconds = done
        found = self._figures(scores, self._wanted)
        checks = self._gates(artifact.key, found[0], seconds)
        self._attempts.checks += checks
        self._rows.append(MeasuredRow(artifact.key, found, verdict_of(checks)))

    def outcome(self) -> MeasuredOutcome:
        """The complete result."""
        self._attempts.close(self._bundle, self._request, [row.subject for row in self._rows])
        metrics = tuple(self._judge.metrics)
        told = "; ".join(f"{metric.name}: {metric.protocol}" for metric in metrics)
        how = f"{told}; intervals: {self._request.limits.interval:.4g}, percentile bootstrap over {self._judge.groups}"
        return MeasuredOutcome(
            "/".join(self._request.data.resolve().parts[-2:]),
            len(self._found.examples),
            metrics,
            how,
            tuple(self._rows),
            tuple(self._attempts.checks),
            tuple(self._attempts.skipped),
            self._found.line,
        )

    def _figures(self, scores: Sequence[Score], wanted: Sequence[Score] | None) -> tuple[Figure, ...]:
        interval = self._request.limits.interval
        return figures.figures(self._judge.metrics, scores, self._groups, wanted, interval)

    def _scores(self, key: str, runner: str, artifact: Artifact, like: Artifact) -> list[Score]:
        found: list[Score] = []
        with open_worker(runner, artifact, 1, TIMEOUT_S) as worker:
            opened = Opened(worker, artifact, tiling_of(self._bundle, like), network_of(self._bundle).path)
            for done, example in enumerate(self._found.examples):
                self._progress(f"judging {key}", done, len(self._found.examples))
                found.append(self._judge.score(opened, *example.load()))
        return found

    def _gates(self, key: str, figure: Figure, seconds: float) -> list[Check]:
        limits, metric, found = self._request.limits, self._judge.metrics[0], []
        if limits.min_psnr is not None:
            said = f"{figure.value:.3f} {metric.unit} {metric.name}, expected at least {limits.min_psnr:g}"
            found.append(Check("min-psnr", figure.value >= limits.min_psnr, said, seconds, key))
        if limits.max_drop is not None:
            found.append(_drop(key, figure, metric, limits.max_drop, limits.confidence, seconds))
        return found


def _drop(key: str, figure: Figure, metric: Metric, most: float, confidence: float | None, seconds: float) -> Check:
    """Check that the loss is at most ``most``; with a confidence, for the whole interval."""
    assert figure.change is not None
    sign, span = (-1.0 if metric.more else 1.0), figure.change_span
    lost, unit = sign * figure.change, f" {metric.unit}".rstrip()
    said = f"loses {lost:.4g}{unit} {metric.name} to PyTorch fp32, allowed {most:g}"
    if confidence is None:
        return Check("max-drop", lost <= most, said, seconds, key)
    advice = "cannot tell: evaluate more, or leave --confidence out to check only the figure"
    if span is None:
        why = f"{advice}; {said}; too few groups for an interval"
        return Check("max-drop", False, why, seconds, key, undecided=True)
    low, high = sorted((sign * span.low, sign * span.high))
    said += f"; {confidence:.4g} interval {low:.4g} to {high:.4g}"
    if low <= most < high:
        return Check("max-drop", False, f"{advice}; {said}", seconds, key, undecided=True)
    return Check("max-drop", high <= most, said, seconds, key)
