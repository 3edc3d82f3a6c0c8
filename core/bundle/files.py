"""The files of a bundle and their checksums, and the detection of changes.

``SHA256SUMS`` covers every file but itself, the reports (which are made from the rest), a signature and the note of a
pull, so that ``sha256sum -c SHA256SUMS`` checks a bundle without clearport. ``manifest.json`` holds the same checksums
again: with both, it can be determined which of the three, file, manifest or list, was changed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clearport.disk import ours
from clearport.disk.files import explain, file_sha256
from clearport.disk.json_files import read_bytes
from clearport.disk.litter import in_litter
from clearport.errors import BadInput

MANIFEST, SUMS, REPORTS = ours.MANIFEST, ours.SUMS, ours.REPORTS
SIGNATURE, PULLED = ours.SIGNATURE, ours.PULLED
WEIGHTS = "weights.safetensors"
"""The network itself, for clearport's own networks."""
ONNX_NETWORK, TORCH_NETWORK = "network.onnx", "network.pt2"
"""The network itself, for an ONNX file or a PyTorch module."""

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True)
class Mismatch:
    """A changed file. ``part`` names the part of the bundle that it belongs to, such as ``artifact tflite/int8``."""

    path: str
    part: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path} ({self.part}): {self.problem}"


def scan(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file of a bundle but the manifest, the list and the reports; sorted.

    Raises:
        BadInput: a file cannot be read, or something is a symbolic link.
    """
    for path in symlinks(folder):
        raise BadInput(f"{path}: symbolic links are not allowed in a bundle; put the file itself there")
    return {name: _sha256(folder / name) for name in listed(folder) if name != MANIFEST}


def listed(folder: Path) -> list[str]:
    """Relative paths of every file that SHA256SUMS must name, sorted; symbolic links and litter are left out."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    names = (path.as_posix() for path in found if not in_litter(path))
    return sorted(name for name in names if name not in ours.UNLISTED)


def symlinks(folder: Path) -> Iterator[Path]:
    """Every symbolic link below a folder, but for litter."""
    return (p for p in sorted(folder.rglob("*")) if p.is_symlink() and not in_litter(p.relative_to(folder)))


def specials(folder: Path) -> Iterator[Path]:
    """Everything below a folder other than files, folders and links; it is never opened."""
    return (
        p
        for p in sorted(folder.rglob("*"))
        if not (p.is_symlink() or p.is_file() or p.is_dir() or in_litter(p.relative_to(folder)))
    )


def digest_of(path: str, files: Mapping[str, str]) -> str | None:
    """The result of ``disk.files.digest`` for a file or folder, from the files' checksums; None if unknown."""
    if path in files:
        return files[path]
    below = sorted(name for name in files if name.startswith(f"{path}/"))
    lines = "".join(f"{files[name]}  {name.removeprefix(f'{path}/')}\n" for name in below)
    return hashlib.sha256(lines.encode()).hexdigest() if below else None


def render_sums(files: Mapping[str, str]) -> str:
    """The text of SHA256SUMS for ``files``, in the format of ``sha256sum``."""
    return "".join(f"{files[name]}  {name}\n" for name in sorted(files))


def parse_sums(text: str) -> tuple[dict[str, str], list[int]]:
    """Path -> checksum of SHA256SUMS, and the numbers of lines that are malformed or repeat a path."""
    found: dict[str, str] = {}
    wrong = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match and match[2] not in found:
            found[match[2]] = match[1]
        elif line or number != len(lines):
            wrong.append(number)
    return found, wrong


def compare(
    folder: Path, recorded: Mapping[str, str] | None, left_out: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """``(path, problem)`` of every file that differs from its checksum, is missing or is one too many.

    ``recorded`` is ``files`` of the manifest; None if the manifest cannot be read: then SHA256SUMS alone counts. Files
    of ``left_out`` may be missing.
    """
    summed = (folder / SUMS).is_file()
    if not summed:
        yield SUMS, "the file is missing; without it, changes of the manifest itself cannot be detected"
    sums, wrong = parse_sums(_read_text(folder / SUMS)) if summed else (dict(recorded or {}), [])
    actual = {name: _sha256(folder / name) for name in listed(folder)}
    for line in wrong:
        yield SUMS, f"line {line} is not a checksum, two spaces and a path that occurs only once"
    for path in symlinks(folder):
        yield path.relative_to(folder).as_posix(), "it is a symbolic link; a bundle contains regular files only"
    for path in specials(folder):
        yield (
            path.relative_to(folder).as_posix(),
            "it is a pipe, socket or device; a bundle contains regular files only",
        )
    for name in sorted({*sums, *actual, *(recorded or ())} - {MANIFEST} - (set(left_out) - set(actual))):
        in_manifest = sums.get(name) if recorded is None else recorded.get(name)
        yield from _judge(name, actual.get(name), in_manifest, sums.get(name))
    if summed and actual.get(MANIFEST) != sums.get(MANIFEST):
        yield MANIFEST, f"its content differs from its checksum (one of the two was changed: it, or its line in {SUMS})"


def _judge(name: str, actual: str | None, in_manifest: str | None, in_sums: str | None) -> Iterator[tuple[str, str]]:
    """Two of the three agree unless more than one was changed; the odd one out is reported."""
    if actual == in_manifest == in_sums:
        return
    if in_manifest == in_sums:
        yield name, _difference(actual, in_manifest)
    elif actual == in_manifest:
        yield SUMS, f"its line for {name} is {_how(in_sums)}"
    elif actual == in_sums:
        yield MANIFEST, f"its entry for {name} in 'files' is {_how(in_manifest)}"
    else:
        yield name, f"its content, {MANIFEST} and {SUMS} all differ"


def _difference(actual: str | None, expected: str | None) -> str:
    if actual is None:
        return "the file is missing"
    if expected is None:
        return "the file is not part of the bundle"
    return "its content differs from its checksum"


def _how(recorded: str | None) -> str:
    return "missing" if recorded is None else "wrong, or for a file that is not there"


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise explain(error, path) from error


def _read_text(path: Path) -> str:
    return read_bytes(path).decode("utf-8", errors="replace") if os.path.lexists(path) else ""
