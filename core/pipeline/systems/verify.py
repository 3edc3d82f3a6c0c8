"""Verification of a system on disk: its own files, each part as a bundle, and the whole with the files of each row."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clearport import problems
from clearport.bundle.system import System, is_system
from clearport.errors import BadInput
from clearport.pipeline.systems import proof
from clearport.pipeline.systems.parts import opened
from clearport.pipeline.verify import verify_bundle
from clearport.programs.interpreter import execute
from clearport.protocols import named, no_progress
from clearport.reports.figures import figures
from clearport.reports.junit import Check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clearport.base import Array, Float32
    from clearport.bundle.system import RowRecord
    from clearport.protocols import Progress


def verify_system(
    folder: Path, progress: Progress = no_progress, threads: int = 1, runtimes: tuple[str, ...] = ()
) -> list[Check]:
    """Check every checksum, every part as a bundle, then the whole against the golden outputs.

    Raises:
        BadInput: no such system, or ``system.json`` is invalid.
    """
    system = System.load(folder)
    checks = [Check("checksum", False, str(m), group=m.path) for m in system.verify_files()]
    if not checks:
        checks.append(Check("checksums", True, "every file of the system itself is unchanged", group="files"))
    damaged = {check.group for check in checks if not check.passed}
    checks += [Check("system", False, problem, group="whole") for problem in _recorded(system)]
    for name, part in system.parts.items():
        found = verify_bundle(part.folder, named(progress, name), threads, runtimes=runtimes)
        checks += [replace(check, group=f"{name}: {check.group}") for check in found]
        damaged |= {check.group for check in found if check.name.startswith("checksum") and not check.passed}
    if damaged:
        return [*checks, Check("whole", False, "not run: a file was changed", group="whole")]
    inputs, wanted = goldens(system)
    if not system.record.rows:
        checks.append(Check("whole", False, "the whole was not proven for any target and precision", group="whole"))
    for number, row in enumerate(system.record.rows):
        progress("running the whole", number, len(system.record.rows))
        checks.append(whole_again(system, row, inputs, wanted, threads))
    return checks


def _recorded(system: System) -> Iterator[str]:
    """What ``system.json`` says otherwise than its parts, and proofs that the export recorded as failed."""
    for failure in system.record.failures():
        yield f"the export recorded a failed proof: {failure}"
    for name, part in system.parts.items():
        told, found = system.record.parts[name].network, part.manifest.model.name
        if told != found:
            yield f"parts.{name}.network: {told}, and {part.folder} is of {found}"


def verify_any(
    folder: Path,
    progress: Progress = no_progress,
    threads: int = 1,
    signed_by: Path | None = None,
    signature: Path | None = None,
    runtimes: tuple[str, ...] = (),
) -> list[Check]:
    """``verify_bundle`` or ``verify_system``, depending on the folder.

    Raises:
        BadInput: it is neither, or a signature of a system is requested: only its parts are signed.
    """
    if not is_system(folder) or signed_by is not None or signature is not None:
        return verify_bundle(folder, progress, threads, signed_by, signature, runtimes)
    return verify_system(folder, progress, threads, runtimes)


def goldens(system: System) -> tuple[dict[str, Float32], dict[str, Float32]]:
    """The inputs and outputs of the proof.

    Raises:
        BadInput: the file cannot be read, or lacks one of them.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = system.folder / system.record.golden
    try:
        found = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise BadInput(f"{path}: not a readable safetensors file: {error}") from error
    program = system.record.program
    names = (
        [(f"input.{i.name}", i.name) for i in program.inputs],
        [(f"output.{o.name}", o.name) for o in program.outputs],
    )
    absent = [key for each in names for key, _ in each if key not in found]
    if absent:
        raise BadInput(f"{path}: it lacks {absent[0]}")
    inputs, outputs = ({name: _float(found[key]) for key, name in each} for each in names)
    return inputs, outputs


def _float(array: Array) -> Float32:
    return array.astype(np.float32)


def whole_again(
    system: System, row: RowRecord, inputs: dict[str, Float32], wanted: dict[str, Float32], threads: int
) -> Check:
    """Repeat the proof of a row; undecided only if no runtime here runs its files."""
    began, name = time.monotonic(), f"whole: {row.key}"
    program = system.record.program
    with ExitStack() as stack:
        try:
            parts = stack.enter_context(opened(system, row.target, row.precision, row.variant, threads))
        except BadInput as error:
            return Check("golden", None, str(error), group=name)
        except problems.UNEXPECTED as error:
            return Check("golden", False, problems.told(error, f"opening {name}"), time.monotonic() - began, name)
        try:
            found, method = execute(program, parts, inputs), parts.method
            reports = proof.judged(program, found, wanted, row.precision, method)
        except problems.UNEXPECTED as error:
            return Check("golden", False, problems.told(error, f"running {name}"), time.monotonic() - began, name)
    failures = [f"{report.output}: {failure}" for report in reports for failure in report.failures]
    told = "; ".join(f"{report.output} {figures(report)} (allowed: {report.tolerance})" for report in reports)
    said = "; ".join(failures) or f"{method}: {told}"
    return Check("golden", not failures, said, time.monotonic() - began, name)
