"""A kit for a system: the parts' ONNX files, the program, and TypeScript that runs it, with a self-test."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

from clearport.bundle.system import System
from clearport.disk.files import write_text
from clearport.errors import BadInput
from clearport.reports.systems.kits import system_texts
from clearport.runtime.devices.browser.page import WEB

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.bundle.system import RowRecord

LANGUAGE, TARGET = "typescript", "onnxruntime"
_SOURCES = (
    *("interpreter", "noise", "parity", "parity_outputs", "parity_values", "pixels", "program", "safetensors"),
    *("squares", "values", "wire"),
)
"""The page's modules that run a program."""


def chosen_row(system: System, language: str, target: str, precision: str, variant: str | None) -> RowRecord:
    """The row whose files the kit contains.

    Raises:
        BadInput: no system kit for this language or target, no such row, or the row failed its proof.
    """
    folder = system.folder
    if language != LANGUAGE or target not in {"", TARGET}:
        wanted = f"--language {language}" if language != LANGUAGE else f"--target {target}"
        parts = ", ".join(str(part.folder) for part in system.parts.values())
        raise BadInput(
            f"{wanted}: {folder} is a system, whose kits are in {LANGUAGE} for {TARGET}; its parts have kits of their "
            f"own where they take and give one picture: {parts}"
        )
    row = system.row(TARGET, precision, variant)
    if failed := [failure for report in row.parity for failure in report.failures]:
        raise BadInput(f"{folder}: {row.key} failed its proof ({'; '.join(failed)}), so there is no kit")
    return row


def write_kit_of(system: System, row: RowRecord, place: Path) -> None:
    """Write the kit's files to an existing folder.

    Raises:
        BadInput: a file of the system was changed.
    """
    system.check_files()
    (place / "model").mkdir()
    (place / "goldens").mkdir()
    told = {}
    for name, part in system.parts.items():
        record = part.find(row.target, row.precision, row.variant)
        if changed := [mismatch for mismatch in part.verify_files() if record.holds(mismatch.path)]:
            raise BadInput(f"{part.folder}: {changed[0]}; for the full list: clearport verify {system.folder}")
        source = part.path(record)
        file = f"{name}{source.suffix}"
        shutil.copyfile(source, place / "model" / file)
        artifact = part.artifact(record)
        specs = {end: [asdict(spec) for spec in getattr(artifact, end)] for end in ("inputs", "outputs")}
        told[name] = {"file": file, **specs}
    description = {
        "program": system.record.program.model_dump(mode="json"),
        "parts": told,
        "limits": {report.output: asdict(report.tolerance) for report in row.parity},
    }
    write_text(place / "model" / "system.json", json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    shutil.copyfile(system.folder / system.record.golden, place / "goldens" / "golden.safetensors")
    for name in _SOURCES:
        shutil.copyfile(WEB / "src" / f"{name}.ts", place / f"{name}.ts")
    for name, text in system_texts(system, row).items():
        write_text(place / name, text)
