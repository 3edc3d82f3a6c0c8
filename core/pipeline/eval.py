"""The accuracy gate: artifacts of a bundle against ground truth, each paired with PyTorch fp32 on the same pictures."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import Size
from clearport.bundle.folder import Bundle, changing, verify_folder, write
from clearport.bundle.manifest import QualityRecord
from clearport.disk import ours
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput
from clearport.pipeline.evaluation import measured
from clearport.pipeline.evaluation.attempt import Attempts
from clearport.pipeline.evaluation.gate import check_names, checksum_checks, sound, verdict_of
from clearport.pipeline.evaluation.judge import judge_of
from clearport.pipeline.evaluation.measured import MeasuredOutcome
from clearport.pipeline.evaluation.rows import PYTORCH, UNCUT, EvalOutcome, EvalRequest, EvalRow
from clearport.pipeline.evaluation.tiles import TileCrop, Watch, sheet
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.pipeline.prove import network_of, runner_of
from clearport.pipeline.run import tiling_of
from clearport.pipeline.select import plain_scale, select
from clearport.protocols import no_progress
from clearport.reports.html import write_reports
from clearport.reports.junit import Check, JunitFile
from clearport.runtime import quality, tiling
from clearport.runtime.paired import paired_drop
from clearport.runtime.tiling_png import save_strips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clearport.base import Artifact
    from clearport.pictures.images import Image8
    from clearport.protocols import Progress
    from clearport.runtime.paired import PairedDrop
    from clearport.runtime.quality import ImageScore, QualityReport


def evaluate_bundle(request: EvalRequest, progress: Progress = no_progress) -> EvalOutcome | MeasuredOutcome:
    """Score every artifact, paired with PyTorch, after checking that no file was changed.

    Tasks in ``evaluation/tasks`` have a judge of their own; all others are evaluated on pairs of pictures.

    A changed file fails the gate without being judged. Pictures of another size than the artifacts' are cut into tiles;
    PyTorch runs on the same tiles, and is scored on uncut pictures, too.

    Raises:
        BadInput: no such bundle or artifact, no pairs, or an invalid gate.
    """
    request.limits.check()
    bundle = Bundle.load(request.folder)
    held_back = _held_back(bundle) if request.held_back else None
    judge = judge_of(bundle.manifest.model.task)
    if judge is not None:
        return measured.evaluate(bundle, request, judge, held_back, progress)
    check_names(bundle, request.require)
    found = quality.judged_pairs(request.data, plain_scale(bundle, "eval", cropped=True), held_back)
    records = select(bundle, request.targets, request.precisions)
    progress("checking checksums", 0, 0)
    wrong = verify_folder(request.folder)
    artifacts = [bundle.artifact(record) for record in sound(records, wrong)]
    run = _Judge(bundle, request, found, progress, checksum_checks(wrong))
    if artifacts:
        run.baseline(artifacts[0])
    for artifact in artifacts:
        run.judge(artifact)
    return replace(run.outcome(), tiles=run.sheet())


@contextmanager
def gate_outputs(request: EvalRequest, junit: Path | None, *, record: bool) -> Iterator[JunitFile]:
    """Claim the outputs of an evaluation: the JUnit file, and the bundle if figures are recorded.

    The caller passes the checks to the yielded function. The file reports an error from the start, and any exception
    raised in the block: an earlier run's report never survives a failed run.

    Raises:
        BadInput: an output cannot be written; nothing was judged.
    """
    wanted = None if junit is None else OutFile(junit, "--junit", "a JUnit report of clearport", ours.is_junit)
    sheet = request.worst_tiles
    shown = (
        None
        if sheet is None
        else OutFile(sheet, "--worst-tiles", "a picture that clearport wrote", partial(ours.is_png, marked=True))
    )
    suite = f"clearport eval {request.data.name}"
    recording = changing(request.folder, "--record") if record else nullcontext()
    with claimed(wanted, shown, reads=(request.folder,)), JunitFile(junit, suite) as report, recording:
        yield report


def save_worst_tiles(request: EvalRequest, outcome: EvalOutcome | MeasuredOutcome) -> None:
    """Write the picture of the worst tiles, if requested and there are any; inside ``gate_outputs``."""
    if request.worst_tiles is not None and outcome.tiles is not None:
        height, width = outcome.tiles.shape[:2]
        save_strips(request.worst_tiles, Size(height, width), [outcome.tiles])


def _held_back(bundle: Bundle) -> set[str]:
    """The groups of pictures held out from training, as listed in the card of the weights.

    Raises:
        BadInput: the card lists none.
    """
    named = (bundle.manifest.model.card or {}).get("held_back", ())
    if not named:
        raise BadInput(f"{bundle.folder}: the card of its weights lists no held-out pictures")
    return {str(name) for name in named}


def record_quality(folder: Path, outcome: EvalOutcome | MeasuredOutcome) -> Bundle:
    """Keep the figures in the bundle's manifest and reports; those of another data set stay.

    Raises:
        BadInput: there is no bundle, it was changed meanwhile, or it cannot be written.
    """
    with changing(folder, "--record"):
        return _recorded(folder, outcome)


def _recorded(folder: Path, outcome: EvalOutcome | MeasuredOutcome) -> Bundle:
    bundle = Bundle.load(folder)
    changed = bundle.verify_files()
    if changed:
        raise BadInput(f"{folder}: not recorded, since the bundle was modified: {changed[0]}")
    kept = tuple(q for q in bundle.manifest.quality if q.data != outcome.data)
    if isinstance(outcome, MeasuredOutcome):
        found = outcome.records()
    else:
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
    """Scores artifacts one by one."""

    def __init__(
        self, bundle: Bundle, request: EvalRequest, found: quality.Judged, progress: Progress, checks: list[Check]
    ) -> None:
        self._bundle, self._request, self._found, self._progress = bundle, request, found, progress
        self._pairs = found.pairs
        self._data = "/".join(request.data.resolve().parts[-2:])
        self._rows: list[EvalRow] = []
        self._attempts = Attempts(checks, request)
        self._crops: list[TileCrop] = []
        self._like: Artifact | None = None

    def baseline(self, like: Artifact) -> None:
        """PyTorch on the artifacts' tiles and, if these differ from the pictures, on the pictures."""
        self._like = like
        network = network_of(self._bundle)
        runner, _ = runner_of(network)
        cutting = tiling_of(self._bundle, like)
        report = self._score(PYTORCH, runner, network, cutting)
        self._rows.append(EvalRow(PYTORCH, report, None))
        if cutting.size is not None and network.inputs[0].dynamic:
            whole = replace(cutting, size=None, whole_pixels=tiling.Tiling.whole_pixels)
            uncut = self._score(UNCUT, runner, network, whole)
            self._rows.append(EvalRow(UNCUT, uncut, self._drop(uncut)))

    def judge(self, artifact: Artifact) -> None:
        """Score one artifact and apply the gates."""
        watch, cutting = Watch(artifact.key, self._rows[0].report), tiling_of(self._bundle, artifact)
        done = self._attempts.judged(
            artifact, lambda runner: self._score(artifact.key, runner, artifact, cutting, watch)
        )
        if done is None:
            return
        report, seconds = done
        drop = self._drop(report)
        checks = self._request.limits.checks(artifact.key, report, drop, seconds)
        self._attempts.checks += checks
        self._crops += [watch.crop] if watch.crop else []
        verdict = verdict_of(checks)
        self._rows.append(EvalRow(artifact.key, report, drop, verdict))

    def sheet(self) -> Image8 | None:
        """The worst tiles, if requested. PyTorch restores their pictures again, since not all are kept in memory."""
        if self._request.worst_tiles is None or not self._crops or self._like is None:
            return None
        names = {crop.tile.image for crop in self._crops}
        restored: dict[str, Image8] = {}

        def keep(score: ImageScore, made: Image8, _: Image8) -> None:
            restored[score.name] = made

        network = network_of(self._bundle)
        pairs = [pair for pair in self._pairs if pair.name in names]
        self._score(PYTORCH, runner_of(network)[0], network, tiling_of(self._bundle, self._like), keep, pairs)
        return sheet(self._crops, restored)

    def outcome(self) -> EvalOutcome:
        """The complete result."""
        self._attempts.close(self._bundle, self._request, [row.subject for row in self._rows])
        protocol = self._rows[0].report.protocol if self._rows else ""
        rows, checks, skipped = tuple(self._rows), tuple(self._attempts.checks), tuple(self._attempts.skipped)
        return EvalOutcome(
            self._data, len(self._pairs), protocol, rows, checks, skipped, self._found.line, self._found.unusable
        )

    def _drop(self, report: QualityReport) -> PairedDrop:
        return paired_drop(report, self._rows[0].report, self._request.limits.interval)

    def _score(
        self,
        key: str,
        runner: str,
        artifact: Artifact,
        cutting: tiling.Tiling,
        seen: Callable[[ImageScore, Image8, Image8], None] | None = None,
        pairs: Sequence[quality.Pair] = (),
    ) -> QualityReport:
        def tell(done: int, total: int) -> None:
            self._progress(f"judging {key}", done, total)

        with open_worker(runner, artifact, 1, TIMEOUT_S) as worker:
            infer = tiling.engine(worker, artifact)
            restore: Callable[..., Any] = partial(tiling.restore, infer=infer, tiling=cutting)
            return quality.evaluate(pairs or self._pairs, restore, int(cutting.scale), self._data, tell, seen)
