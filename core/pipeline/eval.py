"""The accuracy gate: artifacts of a bundle against ground truth, each paired with PyTorch fp32 on the same pictures."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport import problems
from clearport.base import Skipped
from clearport.bundle.folder import Bundle, changing, verify_folder, write
from clearport.bundle.manifest import QualityRecord
from clearport.disk import ours
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput
from clearport.pipeline.eval_gate import check_names, checksum_checks, required_checks, sound
from clearport.pipeline.prove import TIMEOUT_S, network_of, open_worker, runner_of
from clearport.pipeline.run import tiling_of, usable_runner
from clearport.pipeline.select import plain_scale, select
from clearport.protocols import no_progress
from clearport.reports.html import write_reports
from clearport.reports.junit import Check, JunitFile
from clearport.runtime import quality, tiling
from clearport.runtime.quality import PairedDrop, QualityReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clearport.base import Artifact
    from clearport.protocols import Progress

PYTORCH = "pytorch"
UNCUT = "pytorch, uncut"


@dataclass(frozen=True)
class EvalRequest:
    """What to judge, on what, and by which gates (dB RGB, means over pictures); see ``clearport eval --help``."""

    folder: Path
    data: Path
    max_drop: float | None = None
    min_psnr: float | None = None
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    held_back: bool = False
    require: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalRow:
    """One artifact, or PyTorch. ``drop`` is what it loses to PyTorch fp32; ``passed`` is None where no gate applies."""

    subject: str
    report: QualityReport
    drop: PairedDrop | None
    passed: bool | None

    def figures(self) -> tuple[tuple[float | None, int], ...]:
        """PSNR RGB, its change, PSNR Y, its change, SSIM, each with how many digits to show."""
        rgb = -self.drop.mean_rgb_db if self.drop else None
        luma = -self.drop.mean_y_db if self.drop else None
        report = self.report
        return (report.psnr_rgb_db, 3), (rgb, 3), (report.psnr_y_db, 3), (luma, 3), (report.ssim, 4)


@dataclass(frozen=True)
class EvalOutcome:
    """Every row, every gate as a check, and what could not be judged here.

    ``found`` says which pictures were taken of the data and which were left; ``unusable`` which cannot be judged by.
    """

    data: str
    images: int
    protocol: str
    rows: tuple[EvalRow, ...]
    checks: tuple[Check, ...]
    skipped: tuple[Skipped, ...]
    found: str = ""
    unusable: str = ""

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(check.passed is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The outcome for JSON."""
        return {**asdict(self), "passed": self.passed}


def evaluate_bundle(request: EvalRequest, progress: Progress = no_progress) -> EvalOutcome:
    """Score every artifact, paired with PyTorch, after checking that every file is as it was written.

    A file that is not fails the gate, and is not judged. Pictures of another size than the artifacts' are cut into
    tiles; PyTorch sees the same tiles, and is scored on uncut pictures, too.

    Raises:
        BadInput: there is no bundle, no such artifact, or no pairs.
    """
    bundle = Bundle.load(request.folder)
    check_names(bundle, request.require)
    found = quality.judged_pairs(
        request.data, plain_scale(bundle, "eval"), _held_back(bundle) if request.held_back else None
    )
    records = select(bundle, request.targets, request.precisions)
    progress("checking checksums", 0, 0)
    wrong = verify_folder(request.folder)
    artifacts = [bundle.artifact(record) for record in sound(records, wrong)]
    judge = _Judge(bundle, request, found, progress, checksum_checks(wrong))
    if artifacts:
        judge.baseline(artifacts[0])
    for artifact in artifacts:
        judge.judge(artifact)
    return judge.outcome()


@contextmanager
def gate_outputs(request: EvalRequest, junit: Path | None, *, record: bool) -> Iterator[JunitFile]:
    """The outputs of an evaluation, held while it runs: the JUnit file, and the bundle where figures go into it.

    The caller gives the checks to what this yields. The file tells of an error from the first moment on, and what is
    raised in the block stands in it: a report of an earlier run never stays where this one ends in an error.

    Raises:
        BadInput: an output cannot be written; nothing was judged.
    """
    wanted = None if junit is None else OutFile(junit, "--junit", "a JUnit report of clearport", ours.is_junit)
    suite = f"clearport eval {request.data.name}"
    recording = changing(request.folder, "--record") if record else nullcontext()
    with claimed(wanted, reads=(request.folder,)), JunitFile(junit, suite) as report, recording:
        yield report


def _held_back(bundle: Bundle) -> set[str]:
    """The groups of pictures that the training set aside, as the card of its weights names them.

    Raises:
        BadInput: the card names none.
    """
    named = (bundle.manifest.model.card or {}).get("held_back", ())
    if not named:
        raise BadInput(f"{bundle.folder}: the card of its weights names no pictures that were held back from training")
    return {str(name) for name in named}


def record_quality(folder: Path, outcome: EvalOutcome) -> Bundle:
    """Keep the figures in the bundle's manifest and reports; those of another data set stay.

    Raises:
        BadInput: there is no bundle, it was changed meanwhile, or it cannot be written.
    """
    with changing(folder, "--record"):
        return _recorded(folder, outcome)


def _recorded(folder: Path, outcome: EvalOutcome) -> Bundle:
    bundle = Bundle.load(folder)
    changed = bundle.verify_files()
    if changed:
        raise BadInput(f"{folder}: nothing is recorded in a bundle that is not as it was written: {changed[0]}")
    kept = tuple(q for q in bundle.manifest.quality if q.data != outcome.data)
    found = tuple(record for row in outcome.rows for record in _records(row, outcome))
    written = write(folder, bundle.manifest.model_copy(update={"quality": kept + found}))
    write_reports(written)
    return written


def _records(row: EvalRow, outcome: EvalOutcome) -> list[QualityRecord]:
    report, drop = row.report, row.drop
    changes = (-drop.mean_rgb_db, -drop.mean_y_db) if drop else (None, None)
    rgb, luma = report.psnr_rgb_db, report.psnr_y_db
    figures = [("PSNR RGB", "dB", rgb, changes[0], row.passed), ("PSNR Y", "dB", luma, changes[1], None)]
    if report.ssim is not None:
        figures.append(("SSIM", "", report.ssim, None, None))
    return [
        QualityRecord(
            subject=row.subject,
            data=outcome.data,
            images=outcome.images,
            metric=metric,
            protocol=report.protocol,
            unit=unit,
            value=value,
            change=change,
            passed=passed,
        )
        for metric, unit, value, change, passed in figures
    ]


class _Judge:
    """Scores artifacts one after the other."""

    def __init__(
        self, bundle: Bundle, request: EvalRequest, found: quality.Judged, progress: Progress, checks: list[Check]
    ) -> None:
        self._bundle, self._request, self._found, self._progress = bundle, request, found, progress
        self._pairs = found.pairs
        self._data = "/".join(request.data.resolve().parts[-2:])
        self._rows: list[EvalRow] = []
        self._checks = checks
        self._skipped: list[Skipped] = []

    def baseline(self, like: Artifact) -> None:
        """PyTorch on the tiles that the artifacts see and, where those are not the pictures, on the pictures."""
        network = network_of(self._bundle)
        runner, _ = runner_of(network)
        cutting = tiling_of(self._bundle, like)
        report = self._score(PYTORCH, runner, network, cutting)
        self._rows.append(EvalRow(PYTORCH, report, None, None))
        if cutting.size is not None and network.inputs[0].dynamic:
            whole = tiling.Tiling(cutting.scale, cutting.halo, cutting.multiple)
            uncut = self._score(UNCUT, runner, network, whole)
            self._rows.append(EvalRow(UNCUT, uncut, quality.paired_drop(uncut, report), None))

    def judge(self, artifact: Artifact) -> None:
        """Score one artifact and put it to the gates."""
        began = time.monotonic()
        try:
            runner, _ = usable_runner(artifact)
        except BadInput as error:
            self._skipped.append(Skipped(artifact.key, str(error)))
            self._checks.append(Check("quality", None, str(error), group=artifact.key))
            return
        try:
            report = self._score(artifact.key, runner, artifact, tiling_of(self._bundle, artifact))
        except problems.UNEXPECTED as error:
            said = problems.told(error, f"judging {artifact.key}")
            self._checks.append(Check("quality", False, said, time.monotonic() - began, artifact.key))
            return
        drop = quality.paired_drop(report, self._rows[0].report)
        checks = self._gates(artifact.key, report, drop, time.monotonic() - began)
        self._checks += checks
        passed = all(check.passed for check in checks) if checks else None
        self._rows.append(EvalRow(artifact.key, report, drop, passed))

    def outcome(self) -> EvalOutcome:
        """All that was found."""
        gated = self._request.max_drop is not None or self._request.min_psnr is not None
        if gated and not any(check.passed is not None for check in self._checks):
            said = "a gate was asked for, and no artifact could be judged here"
            self._checks.append(Check("judged", False, said, group="gate"))
        judged = [row.subject for row in self._rows]
        self._checks += required_checks(self._bundle, self._request.require, judged)
        protocol = self._rows[0].report.protocol if self._rows else ""
        rows, checks, skipped = tuple(self._rows), tuple(self._checks), tuple(self._skipped)
        return EvalOutcome(
            self._data, len(self._pairs), protocol, rows, checks, skipped, self._found.line, self._found.unusable
        )

    def _score(self, key: str, runner: str, artifact: Artifact, cutting: tiling.Tiling) -> QualityReport:
        def tell(done: int, total: int) -> None:
            self._progress(f"judging {key}", done, total)

        with open_worker(runner, artifact, 1, TIMEOUT_S) as worker:
            infer = tiling.engine(worker, artifact)
            restore: Callable[..., Any] = partial(tiling.restore, infer=infer, tiling=cutting)
            return quality.evaluate(self._pairs, restore, int(cutting.scale), self._data, tell)

    def _gates(self, key: str, report: QualityReport, drop: PairedDrop, seconds: float) -> list[Check]:
        checks = []
        most, least = self._request.max_drop, self._request.min_psnr
        if most is not None:
            said = f"loses {drop.mean_rgb_db:.3f} dB RGB to PyTorch fp32, allowed {most:g}"
            said += f" (worst picture: {drop.worst_image}, {drop.worst_rgb_db:.3f})"
            checks.append(Check("max-drop", drop.mean_rgb_db <= most, said, seconds, key))
        if least is not None:
            said = f"{report.psnr_rgb_db:.3f} dB RGB, expected at least {least:g}"
            checks.append(Check("min-psnr", report.psnr_rgb_db >= least, said, seconds, key))
        return checks
