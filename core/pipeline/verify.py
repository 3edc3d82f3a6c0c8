"""A bundle, checked again from disk: checksums first, then every artifact on the golden picture."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from clearport import problems
from clearport.bundle.files import SIGNATURE
from clearport.bundle.folder import Bundle, verify_folder
from clearport.bundle.pulled import read_pulled
from clearport.bundle.replays import contradicts
from clearport.disk.litter import litter_in
from clearport.errors import BadInput, NotInstalled
from clearport.pipeline.criteria import PHOTO
from clearport.pipeline.exams import exams_of, exams_of_weights
from clearport.pipeline.prove import network_of, replays_of, run_each, run_elsewhere, runner_of
from clearport.pipeline.stores.sign import check_signature
from clearport.protocols import no_progress
from clearport.reports.figures import figures
from clearport.reports.junit import Check
from clearport.runtime.older.table import known
from clearport.runtime.side_by_side import side_by_side, workers
from clearport.runtime.usable import runners_of, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.bundle.manifest import ArtifactRecord
    from clearport.pipeline.criteria import Exam
    from clearport.protocols import Progress, Runner
    from clearport.runtime.older.table import OtherRuntime
    from clearport.runtime.parity import ParityReport


MOST_WORKERS = 4
"""However many cores there are: a worker that runs a deep network at 360x640 takes up to 0.6 GB."""


def verify_bundle(
    folder: Path,
    progress: Progress = no_progress,
    threads: int = 1,
    signed_by: Path | None = None,
    signature: Path | None = None,
    runtimes: tuple[str, ...] = (),
) -> list[Check]:
    """Every checksum, then the network itself and every artifact by each runtime here, against the golden pictures.

    A check that cannot be made here has ``passed`` None and says why. Artifacts whose files are not as they were
    written are not run. ``signed_by`` is the public key of whoever must have signed it, ``signature`` where the
    signature lies if not in the bundle. ``runtimes`` names other runtimes (``runtime/older/table.py``) by which
    artifacts are run, too.

    Raises:
        BadInput: there is no bundle, the key cannot be used, or a runtime is not set up.
    """
    others = known(runtimes)
    if signature is not None and signed_by is None:
        raise BadInput(f"{signature}: use --signed-by PUBLIC_KEY to say whose signature it must be")
    progress("checking checksums", 0, 0)
    began = time.monotonic()
    wrong = verify_folder(folder)
    seconds = time.monotonic() - began
    checks = [Check("checksum", False, str(m), group=m.path) for m in wrong]
    if signed_by is not None:
        checks.append(check_signature(folder, signed_by, signature))
    if any(m.path == "manifest.json" for m in wrong):
        return checks
    bundle = Bundle.load(folder)
    if not wrong:
        said = f"every file is as it was written{_remarks(bundle, asked=signed_by is not None)}"
        checks.append(Check("checksums", True, said, seconds, "files"))
    changed = {m.path for m in wrong}
    jobs = [] if bundle.manifest.model.reference in changed else [partial(_run_weights, bundle, threads)]
    for record in bundle.artifacts:
        if any(record.holds(path) for path in changed):
            checks.append(Check("golden", False, "not run: its file was changed", group=record.key))
        else:
            jobs.append(partial(check_artifact, bundle, record, threads))
            jobs += [
                partial(check_elsewhere, bundle, record, each, threads)
                for each in others
                if each.target == record.target
            ]
    width = min(workers(threads), MOST_WORKERS)
    found = side_by_side(jobs, width, lambda done, total: progress("running artifacts", done, total))
    return checks + [check for part in found for check in part]


def _remarks(bundle: Bundle, *, asked: bool) -> str:
    """What the verdict on the files does not cover; ``asked``: a signature was asked for."""
    said = []
    if litter := litter_in(bundle.folder):
        said.append(f"ignored, as no part of the bundle: {', '.join(litter)}")
    if (bundle.folder / SIGNATURE).is_file() and not asked:
        said.append(f"it has a signature ({SIGNATURE}), which --signed-by PUBLIC_KEY checks")
    if pulled := read_pulled(bundle.folder):
        left = f", without {', '.join(pulled.left_out)}" if bundle.left_out else ""
        said.append(f"{pulled.name}@{pulled.version} of {pulled.store}{left}")
    return "".join(f"; {one}" for one in said)


_REPLAY = (
    "its output is not the one that was proven at the export, by the same version of the runtime on the same processor:"
    " the file is another one"
)


def _run_weights(bundle: Bundle, threads: int) -> list[Check]:
    """The network that ``eval`` compares with is the one that was exported."""
    began, name = time.monotonic(), bundle.manifest.model.reference
    try:
        network = network_of(bundle)
        runner, options = runner_of(network)
        exams = exams_of_weights(bundle, network)
        outputs = run_each(runner, network, [exam.sample for exam in exams], threads, options) if exams else []
        judged = [report for e, out in zip(exams, outputs, strict=True) for report in e.judge(out, network, runner)]
    except problems.UNEXPECTED as error:
        said = problems.told(error, f"running {name}")
        return [Check("weights", False, said, time.monotonic() - began, name)]
    failures = [failure for report in judged for failure in report.failures]
    said = "; ".join(failures) or "it gives the golden pictures"
    return [Check("weights", not failures, said, time.monotonic() - began, name)] if exams else []


def check_artifact(bundle: Bundle, record: ArtifactRecord, threads: int) -> list[Check]:
    """An artifact by each runtime that is here, on every golden picture; ``passed`` is None where that cannot be."""
    try:
        exams = exams_of(bundle, record)
    except problems.UNEXPECTED as error:
        return [Check("golden", False, problems.told(error, f"reading the goldens of {record.key}"), group=record.key)]
    if not exams:
        return [Check("golden", None, "it has no golden picture", group=record.key)]
    checks = []
    for runner, found in runners_of(record.target):
        obstacle = found or next((why for e in exams if (why := too_large(runner, *e.sides))), None)
        if obstacle is not None:
            checks.append(Check(f"golden by {runner.name}", None, obstacle, group=record.key))
        else:
            checks += _checks(bundle, record, runner, exams, threads)
    return checks or [Check("golden", None, f"clearport has no runner for {record.target} files", group=record.key)]


def check_elsewhere(bundle: Bundle, record: ArtifactRecord, other: OtherRuntime, threads: int) -> list[Check]:
    """An artifact by a runtime of another environment, on every golden picture."""
    name = f"golden by {other.name}"
    if other.leaves_out is not None and record.path.endswith(other.leaves_out[0]):
        return [Check(name, None, other.leaves_out[1], group=record.key)]
    began, artifact = time.monotonic(), bundle.artifact(record)
    try:
        exams = exams_of(bundle, record)
        outputs = run_elsewhere(other, artifact, [exam.sample for exam in exams], threads)
    except problems.UNEXPECTED as error:
        said = problems.told(error, f"running {record.key} by {other.name}")
        return [Check(name, False, said, time.monotonic() - began, record.key)]
    seconds = (time.monotonic() - began) / max(1, len(exams))
    method = f"ran on {other.title} ({other.about})"
    return [
        _check(exam, exam.judge(output, artifact, method), other.name, method, seconds, record.key)
        for exam, output in zip(exams, outputs, strict=True)
    ]


def _checks(bundle: Bundle, record: ArtifactRecord, runner: Runner, exams: Sequence[Exam], threads: int) -> list[Check]:
    began = time.monotonic()
    name = f"golden by {runner.name}"
    artifact = bundle.artifact(record)
    try:
        outputs = run_each(runner.name, artifact, [exam.sample for exam in exams], threads)
        seconds = (time.monotonic() - began) / len(exams)
        checks = [
            _check(exam, exam.judge(output, artifact, runner.method), runner.name, runner.method, seconds, record.key)
            for exam, output in zip(exams, outputs, strict=True)
        ]
        again = any(contradicts(fresh, record.replays) for fresh in replays_of(runner, exams, outputs, threads))
        return [*checks, Check(f"replay by {runner.name}", False, _REPLAY, 0.0, record.key)] if again else checks
    except NotInstalled as error:
        return [Check(name, None, str(error), group=record.key)]
    except problems.UNEXPECTED as error:
        message = problems.told(error, f"running {record.key} by {runner.name}")
        return [Check(name, False, message, time.monotonic() - began, record.key)]


def _check(exam: Exam, reports: Sequence[ParityReport], by: str, method: str, seconds: float, key: str) -> Check:
    name = f"golden by {by}" if exam.name == PHOTO else f"golden {exam.name} by {by}"
    failures = [f"{_compared(report)}: {failure}" for report in reports for failure in report.failures]
    if failures:
        return Check(name, False, "; ".join(failures), seconds, key)
    told = "; ".join(f"{_compared(report)} {_figures(report)}" for report in reports)
    remark = f"; {exam.remark}" if exam.remark else ""
    return Check(name, True, f"{method}: {told}{remark}", seconds, key)


def _compared(report: ParityReport) -> str:
    return f"{report.output} to the {report.reference}" if report.output else f"to the {report.reference}"


def _figures(report: ParityReport) -> str:
    return f"{figures(report)} (allowed: {report.tolerance})"
