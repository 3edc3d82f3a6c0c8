"""Verification of a bundle on disk: checksums first, then every artifact on the golden picture."""

from __future__ import annotations

import time
from contextlib import ExitStack
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
from clearport.pipeline.diagnosis.steps import Steps
from clearport.pipeline.exams import exams_of, exams_of_weights
from clearport.pipeline.isolated.workers import reused
from clearport.pipeline.prove import judge, network_of, replays_of, run_each, run_elsewhere, runner_of
from clearport.pipeline.recorded import recorded_checks, unproven
from clearport.pipeline.stores.sign import check_signature
from clearport.protocols import no_progress
from clearport.reports.figures import figures, steps_figures
from clearport.reports.junit import Check
from clearport.runtime.older.table import known
from clearport.runtime.side_by_side import side_by_side, workers
from clearport.runtime.usable import method_of, runners_of, too_large

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from clearport.bundle.manifest import ArtifactRecord
    from clearport.pipeline.criteria import Exam
    from clearport.protocols import Progress, Runner
    from clearport.runtime.older.table import OtherRuntime
    from clearport.runtime.parity import ParityReport
    from clearport.runtime.steps.report import StepsReport


MOST_WORKERS = 4
"""Maximum number of parallel workers: one that runs a deep network at 360x640 needs up to 0.6 GB."""


def verify_bundle(
    folder: Path,
    progress: Progress = no_progress,
    threads: int = 1,
    signed_by: Path | None = None,
    signature: Path | None = None,
    runtimes: tuple[str, ...] = (),
) -> list[Check]:
    """Check every checksum, then the network itself and every artifact in each available runtime, against the goldens.

    A check that cannot be done here has ``passed`` None, with the reason. Artifacts with changed files are not run.
    ``signed_by`` is the public key of the required signer, ``signature`` the path of the signature if not in the
    bundle. ``runtimes`` names further runtimes (``runtime/older/table.py``) that run the artifacts.

    Raises:
        BadInput: no such bundle, the key cannot be used, or a runtime is not set up.
    """
    others = known(runtimes)
    if signature is not None and signed_by is None:
        raise BadInput(f"{signature}: --signature needs --signed-by PUBLIC_KEY, the key of the expected signer")
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
        said = f"every file is unchanged{_remarks(bundle, asked=signed_by is not None)}"
        checks.append(Check("checksums", True, said, seconds, "files"))
    checks += recorded_checks(bundle)
    changed = {m.path for m in wrong}
    jobs = [] if bundle.manifest.model.reference in changed else [partial(_run_weights, bundle, threads)]
    width = min(workers(threads), MOST_WORKERS)
    with ExitStack() as opened:
        opened.enter_context(reused())
        steps = _steps(bundle, threads, changed, opened)
        for record in bundle.artifacts:
            if any(record.holds(path) for path in changed):
                checks.append(Check("golden", False, "not run: its file was changed", group=record.key))
            else:
                jobs.append(partial(check_artifact, bundle, record, threads, steps))
                jobs += [
                    partial(check_elsewhere, bundle, record, each, threads)
                    for each in others
                    if each.target == record.target
                ]
        found = side_by_side(jobs, width, lambda done, total: progress("running artifacts", done, total))
    return checks + [check for part in found for check in part]


def _steps(bundle: Bundle, threads: int, changed: Collection[str], opened: ExitStack) -> Steps | None:
    """The int8 reference by steps; None if the bundle has none, or it was changed."""
    about = bundle.manifest.quantization
    if about is None or about.reference in changed or not bundle.path(about.reference).is_file():
        return None
    return opened.enter_context(Steps(bundle.path(about.reference), threads))


def _remarks(bundle: Bundle, *, asked: bool) -> str:
    """What the verdict on the files does not cover; ``asked``: a signature was requested."""
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
    "its output differs from the one proven at export by the same runtime version on the same processor: the file was "
    "replaced"
)


def _run_weights(bundle: Bundle, threads: int) -> list[Check]:
    """Check that the network with which ``eval`` compares is the exported one."""
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
    said = "; ".join(failures) or "it reproduces the golden pictures"
    return [Check("weights", not failures, said, time.monotonic() - began, name)] if exams else []


def check_artifact(bundle: Bundle, record: ArtifactRecord, threads: int, steps: Steps | None = None) -> list[Check]:
    """Check an artifact in each available runtime, on every golden picture; ``passed`` is None if that is impossible.

    An int8 file is also proven step by step, with the reference ``steps`` or the bundle's.
    """
    try:
        exams = exams_of(bundle, record)
    except problems.UNEXPECTED as error:
        return [Check("golden", False, problems.told(error, f"reading the goldens of {record.key}"), group=record.key)]
    if not exams:
        return [Check("golden", False, "the bundle has no golden picture to prove it with", group=record.key)]
    checks = unproven(record, exams, quantized=bundle.manifest.quantization is not None)
    with ExitStack() as opened:
        if steps is None and record.precision == "int8":
            steps = _steps(bundle, threads, (), opened)
        for runner, found in runners_of(record):
            obstacle = found or next((why for e in exams if (why := too_large(runner, *e.sides))), None)
            if obstacle is not None:
                checks.append(Check(f"golden by {runner.name}", None, obstacle, group=record.key))
            else:
                checks += _checks(bundle, record, runner, exams, threads, steps)
    return checks or [Check("golden", None, f"clearport has no runner for {record.target} files", group=record.key)]


def check_elsewhere(bundle: Bundle, record: ArtifactRecord, other: OtherRuntime, threads: int) -> list[Check]:
    """Check an artifact in a runtime of another environment, on every golden picture."""
    name = f"golden by {other.name}"
    if (reason := other.reason_against(record.path)) is not None:
        return [Check(name, None, reason, group=record.key)]
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


def _checks(
    bundle: Bundle, record: ArtifactRecord, runner: Runner, exams: Sequence[Exam], threads: int, steps: Steps | None
) -> list[Check]:
    began = time.monotonic()
    name = f"golden by {runner.name}"
    artifact = bundle.artifact(record)
    try:
        judged = judge(runner, artifact, exams, threads, steps)
        seconds = (time.monotonic() - began) / len(exams)
        checks = [
            _check(exam, reports, runner.name, method_of(runner, record), seconds, record.key)
            for exam, reports in zip(exams, judged.reports, strict=True)
        ]
        checks += [_stepped(record, runner, found) for found in judged.steps]
        again = any(contradicts(fresh, record.replays) for fresh in replays_of(runner, exams, judged.outputs, threads))
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


def _stepped(record: ArtifactRecord, runner: Runner, found: StepsReport) -> Check:
    """Check the steps of a file; steps that already failed at export do not fail the check."""
    name = f"steps by {runner.name}" if found.sample == PHOTO else f"steps on the {found.sample} by {runner.name}"
    if found.passed:
        return Check(name, True, steps_figures(found), group=record.key)
    before = [kept for kept in record.steps if (kept.method, kept.sample) == (found.method, found.sample)]
    said = "; ".join(found.failures)
    if any(kept.passed for kept in before):
        return Check(name, False, said, group=record.key)
    return Check(
        name,
        None,
        f"{said}; {'so they were at the export' if before else 'the export did not prove them'}",
        group=record.key,
    )


def _compared(report: ParityReport) -> str:
    return f"{report.output} to the {report.reference}" if report.output else f"to the {report.reference}"


def _figures(report: ParityReport) -> str:
    return f"{figures(report)} (allowed: {report.tolerance})"
