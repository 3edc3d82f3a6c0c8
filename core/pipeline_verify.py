"""A bundle, checked again from disk: checksums first, then every artifact on the golden picture."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from clearport import problems
from clearport.base import NotInstalled
from clearport.bundle import Bundle, verify_folder
from clearport.images import load_rgb
from clearport.pipeline_goldens import compare_pictures, judge_of
from clearport.pipeline_prove import run_once
from clearport.protocols import no_progress
from clearport.reports.junit import Check
from clearport.runtime.runners import runners_of
from clearport.runtime.side_by_side import lanes, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.bundle_manifest import ArtifactRecord
    from clearport.images import Image8
    from clearport.protocols import Progress, Runner
    from clearport.runtime.parity import Tolerance


def verify_bundle(folder: Path, progress: Progress = no_progress, threads: int = 1) -> list[Check]:
    """Every checksum, then every artifact loaded by each runtime that is here, against the golden pictures.

    A check that cannot be made here has ``passed`` None and says why. Artifacts whose files are not as they were
    written are not run.

    Raises:
        BadInput: there is no bundle.
    """
    progress("checking checksums", 0, 0)
    began = time.monotonic()
    wrong = verify_folder(folder)
    seconds = time.monotonic() - began
    checks = [Check("checksum", False, str(m), group=m.path) for m in wrong]
    if any(m.path == "manifest.json" for m in wrong):
        return checks
    if not wrong:
        checks.append(Check("checksums", True, "every file is as it was written", seconds, "files"))
    bundle = Bundle.load(folder)
    changed = {m.path for m in wrong}
    jobs = []
    for record in bundle.artifacts:
        if any(record.holds(path) for path in changed):
            checks.append(Check("golden", False, "not run: its file was changed", group=record.key))
        else:
            jobs.append(partial(_run_on_golden, bundle, record, threads))
    found = side_by_side(jobs, lanes(threads), lambda done, total: progress("running artifacts", done, total))
    return checks + [check for part in found for check in part]


def _run_on_golden(bundle: Bundle, record: ArtifactRecord, threads: int) -> list[Check]:
    golden, limits = judge_of(bundle, record)
    if golden is None or limits is None:
        return [Check("golden", None, "no golden picture judges it", group=record.key)]
    picture, expected = load_rgb(bundle.path(bundle.golden("input"))), load_rgb(bundle.path(golden))
    checks = []
    for runner, obstacle in runners_of(record.target):
        if obstacle is not None:
            checks.append(Check(f"golden by {runner.name}", None, obstacle, group=record.key))
        else:
            checks.append(_check(bundle, record, runner, (picture, expected), limits, threads))
    return checks or [Check("golden", None, f"no runner of clearport runs {record.target} files", group=record.key)]


def _check(
    bundle: Bundle,
    record: ArtifactRecord,
    runner: Runner,
    pictures: tuple[Image8, Image8],
    limits: Tolerance,
    threads: int,
) -> Check:
    began = time.monotonic()
    name = f"golden by {runner.name}"
    artifact = bundle.artifact(record)
    try:
        output = run_once(runner.name, artifact, pictures[0], threads)
        report = compare_pictures(output, artifact, pictures[1], limits, runner.method)
    except NotInstalled as error:
        return Check(name, None, str(error), group=record.key)
    except problems.UNEXPECTED as error:
        message = problems.told(error, f"running {record.key} by {runner.name}")
        return Check(name, False, message, time.monotonic() - began, record.key)
    found = "equal" if report.psnr_db is None else f"{report.psnr_db:.1f} dB, largest difference {report.max_abs:g}"
    message = "; ".join(report.failures) or f"{runner.method}: {found} (allowed: {limits})"
    return Check(name, report.passed, message, time.monotonic() - began, record.key)
