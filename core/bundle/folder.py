"""A bundle: the folder written by an export, with every artifact, its proofs, and the checksums to verify them.

::

    ncnet_x3/
    ├── manifest.json  SHA256SUMS  report.html  report.md
    ├── weights.safetensors  scales.json  reference_qdq.onnx
    ├── goldens/{input,float,int8}.png
    └── onnxruntime/ tflite/ openvino/ coreml/      one folder per target

A bundle appears complete or not at all (``building``), and ``Bundle.verify_files`` detects a single flipped bit.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearport.base import Artifact
from clearport.bundle import files as bundle_files
from clearport.bundle.consistency import contradictions
from clearport.bundle.fields import LatencyCell, ParityCell
from clearport.bundle.files import MANIFEST, SUMS, Mismatch, compare, render_sums, scan
from clearport.bundle.manifest import (
    ArtifactRecord,
    GoldenRecord,
    Manifest,
    to_json,
)
from clearport.bundle.pulled import parted, read_pulled
from clearport.disk import files as files_
from clearport.disk import leftovers, ours, outputs
from clearport.disk.json_files import read_model
from clearport.errors import BadInput
from clearport.registry import TARGETS

WEIGHTS = bundle_files.WEIGHTS
"""Path of the network's weights in a bundle."""

_SHOWN_ERRORS = 5


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: its ``folder`` and its ``manifest``.

    ``left_out`` has the SHA-256 of each file omitted by a pull; the manifest then describes the rest.
    """

    folder: Path
    manifest: Manifest
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read the manifest of a bundle. Its files are not read yet: that is ``verify_files``.

        Leftovers of killed runs in the folder are removed.

        Raises:
            BadInput: there is no bundle, or its manifest is malformed, inconsistent or has another schema version; the
                message names the file and the field.
        """
        path = folder / MANIFEST
        leftovers.sweep(folder)
        if (folder / ours.SYSTEM).is_file() and not os.path.lexists(path):
            parts = " or ".join(str(folder / part) for part in ours.system_parts(folder))
            raise BadInput(f"{folder}: a system of several parts; this works on one of its parts: {parts}")
        if not os.path.lexists(path):
            raise BadInput(
                f"{folder}: not a bundle; expected a folder with {MANIFEST}, as 'clearport export' writes it"
            )
        return cls(folder, *parted(cls.of_manifest(path).manifest, read_pulled(folder)))

    @classmethod
    def of_manifest(cls, path: Path) -> Bundle:
        """A bundle with only its manifest available.

        Raises:
            BadInput: see ``load``.
        """
        manifest = read_model(path, Manifest, "a manifest that can be used", _explain)
        _check(path, manifest)
        return cls(path.parent, manifest)

    @property
    def artifacts(self) -> tuple[ArtifactRecord, ...]:
        """Every artifact, in export order."""
        return self.manifest.artifacts

    @property
    def passed(self) -> bool:
        """Whether every check in the manifest passed."""
        return not self.manifest.failures()

    def path(self, part: ArtifactRecord | GoldenRecord | str) -> Path:
        """The path on disk of an artifact, a golden picture or a relative path of the bundle.

        Raises:
            BadInput: it is missing, leads out of the bundle, or (artifacts) has another size than the manifest says.
        """
        name = part if isinstance(part, str) else part.path
        path = self.folder / name
        if not path.exists():
            raise BadInput(f"{path}: missing from the bundle; for the full list: clearport verify {self.folder}")
        steps = [path, *path.parents]
        if any(step.is_symlink() for step in steps[: len(Path(name).parts)]) or not _inside(path, self.folder):
            raise BadInput(f"{path}: it leads out of the bundle; symbolic links are not allowed")
        if isinstance(part, ArtifactRecord) and (found := files_.size_bytes(path)) != part.bytes:
            raise BadInput(
                f"{path}: {found} bytes, but the manifest says {part.bytes}; "
                f"for the full list: clearport verify {self.folder}"
            )
        return path

    def artifact(self, record: ArtifactRecord) -> Artifact:
        """A record as an ``Artifact`` for targets and runners, with its absolute path."""
        return Artifact(
            target=record.target,
            precision=record.precision,
            path=self.path(record).absolute(),
            sha256=record.sha256,
            inputs=record.inputs,
            outputs=record.outputs,
            tool_versions=record.tool_versions,
            variant=record.variant,
        )

    def find(self, target: str, precision: str, variant: str | None = None) -> ArtifactRecord:
        """The artifact of a target and precision; without ``variant`` the plain one, or else the first.

        Raises:
            BadInput: no such artifact; the message lists the available ones and the reason if it was skipped.
        """
        fits = [a for a in self.artifacts if (a.target, a.precision) == (target, precision)]
        fits = (
            sorted(fits, key=lambda a: a.variant != "")
            if variant is None
            else [a for a in fits if a.variant == variant]
        )
        if fits:
            return fits[0]
        wanted = "/".join(filter(None, (target, precision, variant)))
        keys = [a.key for a in self.artifacts]
        near = difflib.get_close_matches(wanted, keys, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        reasons = [f"; skipped: {s.reason}" for s in self.manifest.skipped if s.what == wanted]
        there = ", ".join(keys) or "nothing"
        raise BadInput(f"{self.folder}: no artifact {wanted}{''.join(reasons)}{hint} (available: {there})")

    def golden(self, role: str) -> GoldenRecord:
        """The golden picture of a role: ``input``, ``float`` or ``int8``.

        Raises:
            BadInput: the bundle has none.
        """
        for golden in self.manifest.goldens:
            if golden.role == role:
                return golden
        raise BadInput(f"{self.folder / MANIFEST}: goldens: no picture with role {role!r}")

    def verify_files(self) -> list[Mismatch]:
        """Every changed file; empty if none is. See ``verify_folder``."""
        return verify_folder(self.folder)


def verify_folder(folder: Path) -> list[Mismatch]:
    """Compare every file of a bundle with its checksums; works on a bundle whose manifest cannot be read, too.

    Detects changed, missing and added files, symbolic links, and changes of the manifest or SHA256SUMS themselves. The
    reports are not covered: they are made from the rest.

    Raises:
        BadInput: there is no bundle, or a file cannot be read.
    """
    try:
        bundle = Bundle.load(folder)
    except BadInput as error:
        if not (folder / MANIFEST).is_file():
            raise
        found = [Mismatch(MANIFEST, "the manifest", str(error))]
        return found + [
            Mismatch(path, "the bundle", problem) for path, problem in compare(folder, None) if path != MANIFEST
        ]
    manifest, recorded = bundle.manifest, {**bundle.manifest.files, **bundle.left_out}
    problems = compare(folder, recorded, bundle.left_out)
    found = [Mismatch(path, _part(manifest, path), problem) for path, problem in problems]
    wrong = {mismatch.path for mismatch in found}
    return found + [
        Mismatch(MANIFEST, f"artifact {a.key}", f"bytes: it says {a.bytes}, and {a.path} has {size}")
        for a in manifest.artifacts
        if not any(a.holds(path) for path in wrong) and (size := files_.size_bytes(folder / a.path)) != a.bytes
    ]


def write(folder: Path, manifest: Manifest) -> Bundle:
    """Write ``manifest.json`` and ``SHA256SUMS`` for the files in ``folder``; ``files`` is filled in from there.

    Raises:
        BadInput: the manifest names a missing or different file, or the folder cannot be written.
    """
    complete = manifest.model_copy(update={"files": scan(folder)})
    complete = Manifest.model_validate_json(to_json(complete))
    _check(folder / MANIFEST, complete)
    text = to_json(complete)
    own = {MANIFEST: hashlib.sha256(text.encode()).hexdigest()}
    with files_.atomic_path(folder / SUMS) as sums:  # first, so that an interrupted run can be completed
        sums.write_text(render_sums({**complete.files, **own}), encoding="utf-8")
        files_.write_text(folder / MANIFEST, text)
    return Bundle(folder, complete)


@contextmanager
def changing(folder: Path, option: str) -> Iterator[None]:
    """Lock a bundle for recording into it.

    Raises:
        BadInput: no such bundle, it cannot be written, or another clearport process writes to it; nothing was done.
    """
    Bundle.load(folder)
    with outputs.claimed(outputs.OutFolder(folder, option)):
        yield


def record(artifact: Artifact, folder: Path, parity: ParityCell, latency: LatencyCell) -> ArtifactRecord:
    """The manifest's entry for an artifact in ``folder``; further fields by ``model_copy(update=...)``."""
    return ArtifactRecord(
        target=artifact.target,
        precision=artifact.precision,
        variant=artifact.variant,
        path=artifact.path.relative_to(folder).as_posix(),
        sha256=artifact.sha256,
        bytes=files_.size_bytes(artifact.path),
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        tool_versions=artifact.tool_versions,
        parity=parity,
        latency=latency,
    )


@contextmanager
def building(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that replaces it if the block succeeds and is removed if it fails.

    Raises:
        BadInput: the path is taken by a bundle (without ``force``) or by anything else (only a bundle is ever replaced,
            and only if its folder holds nothing else); or it cannot be written.
    """
    with outputs.claimed(outputs.OutBundle(folder, force=force)), files_.atomic_path(folder) as temporary:
        temporary.mkdir()
        yield temporary


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _check(path: Path, manifest: Manifest) -> None:
    known = TARGETS.names()
    unknown = [
        f"artifacts.{i}.target: unknown target {a.target!r} (available: {', '.join(known)})"
        for i, a in enumerate(manifest.artifacts)
        if a.target not in known
    ]
    wrong = unknown + list(contradictions(manifest))
    if wrong:
        raise BadInput(f"{path}: manifest.json is inconsistent: {_some(wrong)}")


def _explain(errors: list[Any]) -> str:
    def one(detail: Any) -> str:
        field = ".".join(str(part) for part in detail["loc"] if part not in ("report", "skipped"))
        message = str(detail["msg"]).removeprefix("Value error, ")
        return f"{field}: {message}" if field else message

    return _some([one(detail) for detail in errors])


def _some(messages: list[str]) -> str:
    more = len(messages) - _SHOWN_ERRORS
    return "; ".join(messages[:_SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _part(manifest: Manifest, path: str) -> str:
    """A description of the part that a file belongs to."""
    for artifact in manifest.artifacts:
        if artifact.holds(path):
            return f"artifact {artifact.key}"
    for golden in manifest.goldens:
        if golden.path == path:
            return f"golden picture {golden.name}"
    names = {MANIFEST: "the manifest", SUMS: "the list of checksums"}
    if manifest.quantization:
        names[manifest.quantization.table] = "the scale table"
        names[manifest.quantization.reference] = "the quantized reference"
    return names.get(path, "the bundle")
