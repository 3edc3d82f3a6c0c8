"""``system.json`` of a system: its parts, the program that runs them, and the proofs of the whole.

::

    sindiffusion/
    ├── system.json  SHA256SUMS  report.html  report.md
    ├── golden.safetensors
    └── parts/step/        a bundle like any other: manifest.json ...

A part is an ordinary bundle: every command for bundles accepts it. ``system.json`` has the SHA-256 of its manifest,
which has those of its files. The JSON schema for other languages is ``core/bundle/system.schema.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearport.base import Precision, Skipped, Task
from clearport.bundle.fields import RelativePath, Sha256, Text, Versions
from clearport.bundle.files import MANIFEST, SUMS, Mismatch, parse_sums, render_sums
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import PaperRecord
from clearport.disk import files as files_
from clearport.disk import leftovers, ours
from clearport.disk.json_files import read_bytes, read_model, schema_text
from clearport.errors import BadInput
from clearport.programs.check import contradictions
from clearport.programs.program import Name, Program
from clearport.runtime.parity import ParityReport

SCHEMA_ID = "https://clearport.invalid/system-1.schema.json"
GOLDEN = "golden.safetensors"
_SHOWN = 5
_SMALLEST: tuple[Precision, ...] = ("int8", "int8-weights", "fp16", "int8a16", "fp32")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class PartRecord(_Record):
    """A part: the folder of its bundle, and its network."""

    folder: RelativePath
    network: Text


class RowRecord(_Record):
    """The system run with the files of one target and precision: each output against the reference in PyTorch."""

    target: Text
    precision: Precision
    variant: str = ""
    method: Text
    parity: tuple[ParityReport, ...] = Field(min_length=1)

    @property
    def key(self) -> str:
        """``target/precision[/variant]``, like an artifact's key."""
        return "/".join(filter(None, (self.target, self.precision, self.variant)))


class SystemRecord(_Record):
    """``system.json``. ``files`` has the SHA-256 of its own files, and of the manifests of its parts.

    ``golden`` is a safetensors file with the inputs and outputs of the proof, ``input.NAME`` and ``output.NAME``.
    """

    schema_version: Literal[1] = 1
    name: Text
    task: Task
    about: Text
    notice: str = ""
    paper: PaperRecord | None = None
    size: Text
    parts: Mapping[Name, PartRecord] = Field(min_length=1)
    program: Program
    golden: RelativePath = GOLDEN
    rows: tuple[RowRecord, ...]
    skipped: tuple[Skipped, ...] = ()
    tool_versions: Versions
    files: Mapping[RelativePath, Sha256] = Field(default_factory=dict)

    def failures(self) -> list[str]:
        """Every failed check, one sentence each."""
        return [
            f"{row.key}: {report.output or 'the output'}: {failure}"
            for row in self.rows
            for report in row.parity
            for failure in report.failures
        ]


@dataclass(frozen=True)
class System:
    """A system on disk."""

    folder: Path
    record: SystemRecord
    parts: Mapping[str, Bundle]

    @classmethod
    def load(cls, folder: Path) -> System:
        """Read a system and the manifests of its parts.

        Raises:
            BadInput: no such system, or ``system.json``, its program or a manifest is invalid.
        """
        path = folder / ours.SYSTEM
        leftovers.sweep(folder)
        if not os.path.lexists(path):
            raise BadInput(f"{folder}: not a system; expected a folder with {ours.SYSTEM}")
        record = read_model(path, SystemRecord, "a system that can be used")
        parts = {name: Bundle.load(_inside(folder, part.folder)) for name, part in record.parts.items()}
        _inside(folder, record.golden)
        _check(path, record, parts)
        return cls(folder, record, parts)

    @property
    def passed(self) -> bool:
        """Whether every check of the parts and of the whole passed, with at least one of the whole."""
        proven = bool(self.record.rows) and not self.record.failures()
        return proven and all(part.passed for part in self.parts.values())

    def row(self, target: str, precision: str, variant: str | None = None) -> RowRecord:
        """The row of a target and precision; without ``variant`` the plain one, or else the first.

        Without ``precision``: the row with the smallest one of the target.

        Raises:
            BadInput: no such row; the message gives the reason, if known.
        """
        if not precision:
            has = {row.precision for row in self.record.rows if row.target == target}
            precision = next((one for one in _SMALLEST if one in has), _SMALLEST[0])
        fits = [r for r in self.record.rows if (r.target, r.precision) == (target, precision)]
        fits = sorted(fits, key=lambda r: r.variant != "") if variant is None else fits
        for row in fits:
            if variant is None or row.variant == variant:
                return row
        wanted = "/".join(filter(None, (target, precision, variant)))
        why = "".join(f": {s.reason}" for s in self.record.skipped if s.what == wanted)
        raise BadInput(f"{self.folder}: the whole cannot be run as {wanted}{why} (available: {self._there()})")

    def rows(self, targets: Collection[str] = (), precisions: Collection[str] = ()) -> list[RowRecord]:
        """The rows of some targets and precisions; empty means all.

        Raises:
            BadInput: no row matches.
        """
        found = [
            row
            for row in self.record.rows
            if (not targets or row.target in targets) and (not precisions or row.precision in precisions)
        ]
        if not found:
            raise BadInput(
                f"{self.folder}: no row of the whole matches --target/--precision (available: {self._there()})"
            )
        return found

    def _there(self) -> str:
        return ", ".join(row.key for row in self.record.rows) or "nothing"

    def check_files(self) -> None:
        """Check that its own files are unchanged.

        Raises:
            BadInput: a file was changed.
        """
        if changed := self.verify_files():
            raise BadInput(f"{self.folder}: {changed[0]}; for the full list: clearport verify {self.folder}")

    def verify_files(self) -> list[Mismatch]:
        """Every changed file of its own, and every changed manifest of a part."""
        recorded = self.record.files
        if not (self.folder / SUMS).is_file():
            return [Mismatch(SUMS, "the system", "the file is missing")]
        sums, wrong = parse_sums(read_bytes(self.folder / SUMS).decode("utf-8", errors="replace"))
        found = [Mismatch(SUMS, "the system", f"line {line} is not a checksum and a path") for line in wrong]
        own = {ours.SYSTEM: sums.get(ours.SYSTEM), **recorded}
        for name, digest in own.items():
            path = self.folder / name
            if not path.is_file() or path.is_symlink():
                found.append(Mismatch(name, "the system", "the file is missing"))
            elif not files_.file_sha256(path) == digest == sums.get(name):
                found.append(Mismatch(name, "the system", "its content differs from its checksum"))
        known = {*own, SUMS, *ours.REPORTS, ours.SIGNATURE, ours.PULLED}
        beside = sorted({*self._beside_parts()} - known)
        return found + [Mismatch(name, "the system", "the file is not part of the system") for name in beside]

    def _beside_parts(self) -> Iterator[str]:
        """Files and links outside the folders of parts."""
        parts = {part.folder for part in self.record.parts.values()}
        for place, folders, names in os.walk(self.folder):
            here = Path(place).relative_to(self.folder)
            folders[:] = [name for name in folders if (here / name).as_posix() not in parts]
            links = [name for name in folders if Path(place, name).is_symlink()]
            yield from ((here / name).as_posix() for name in [*names, *links] if name not in ours.SYSTEMS)


def is_system(folder: Path) -> bool:
    """Whether a folder has the manifest of a system."""
    return (folder / ours.SYSTEM).is_file()


def write(folder: Path, record: SystemRecord) -> System:
    """Write ``system.json`` and ``SHA256SUMS`` for the files in ``folder``; ``files`` is filled in from there."""
    names = [record.golden, *(f"{part.folder}/{MANIFEST}" for part in record.parts.values())]
    complete = record.model_copy(update={"files": {name: files_.file_sha256(folder / name) for name in sorted(names)}})
    text = to_json(complete)
    own = {ours.SYSTEM: hashlib.sha256(text.encode()).hexdigest()}
    files_.write_text(folder / SUMS, render_sums({**complete.files, **own}))
    files_.write_text(folder / ours.SYSTEM, text)
    return System.load(folder)


def to_json(record: SystemRecord) -> str:
    """The text of ``system.json``."""
    plain: Any = record.model_dump(mode="json")
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> str:
    """The JSON schema of ``system.json``; ``make schemas`` writes it again."""
    return schema_text(SystemRecord, SCHEMA_ID, "Manifest of a clearport system of several parts")


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    steps = [path, *path.parents][: len(Path(name).parts)]
    if any(step.is_symlink() for step in steps) or not path.resolve().is_relative_to(folder.resolve()):
        raise BadInput(f"{path}: it leads out of the system; symbolic links are not allowed")
    return path


def _check(path: Path, record: SystemRecord, parts: Mapping[str, Bundle]) -> None:
    ends = {
        name: tuple(tuple(spec.name for spec in specs) for specs in (contract.inputs, contract.outputs))
        for name, contract in ((name, part.manifest.pixel_contract) for name, part in parts.items())
    }
    wrong = [*_own(record), *_absent(record, parts), *contradictions(record.program, ends)]  # type: ignore[arg-type]  # pairs
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise BadInput(f"{path}: {ours.SYSTEM} is inconsistent: {'; '.join(wrong[:_SHOWN])}{more}")


def _own(record: SystemRecord) -> Iterator[str]:
    keys = [row.key for row in record.rows]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield f"rows: {key} is listed twice"
    outputs = sorted(output.name for output in record.program.outputs)
    for row in record.rows:
        if sorted(report.output for report in row.parity) != outputs:
            yield f"rows: {row.key} needs exactly one report per output of the program ({', '.join(outputs)})"
        yield from (
            f"rows: {row.key}: {report.output}: whether it passed contradicts its failures"
            for report in row.parity
            if report.passed == bool(report.failures)
        )
    for name in (record.golden, *(f"{part.folder}/{MANIFEST}" for part in record.parts.values())):
        if record.files and name not in record.files:
            yield f"files: {name} is not among them"


def _absent(record: SystemRecord, parts: Mapping[str, Bundle]) -> Iterator[str]:
    """Files that rows need but parts lack."""
    for name, part in parts.items():
        has = {artifact.key for artifact in part.artifacts}
        yield from (f"rows: part {name} has no file {row.key}" for row in record.rows if row.key not in has)
