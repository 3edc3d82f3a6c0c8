"""Ours or theirs: whether what lies at a path was written by clearport, told by its content, not by its name alone.

Nothing of a file is believed that is not needed for the verdict: a file that cannot be read is theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
REPORTS = ("report.html", "report.md")
SIGNATURE = "model.sig"
"""A signature of a bundle in the format of OpenSSF model signing, under the name that its own tool gives it."""
PULLED = "pulled.json"
"""Where a bundle was pulled from, and which of its artifacts were left out."""
UNLISTED = (SUMS, *REPORTS, SIGNATURE, PULLED)
"""Files of a bundle that its list of checksums does not name."""
LOCK = ".clearport-lock"
"""How the names of locks end."""

SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file managers leave in every folder that they show, and make again: nobody's work."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_JSON = 64 << 20
_MOST_HEADER = 16 << 20
_MANIFEST_FIELDS = {"schema_version", "model", "pixel_contract", "artifacts", "skipped", "goldens", "files"}
_MODEL_FIELDS = {"name", "scale", "weights_sha256"}
_PNG = b"\x89PNG\r\n\x1a\n"
JUNIT_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- written by clearport -->\n<testsuites '
"""How JUnit reports of ours begin."""

NPY_MARK = b"\nclearport run\n"
"""Behind the numbers of an array that ``clearport run`` wrote."""
_NPY = b"\x93NUMPY"
PNG_MARK = b"Software\0clearport"
"""The content of the tEXt chunk that pictures of ``clearport run`` have right after their header."""


def read_json(path: Path) -> Any:
    """The JSON document in a regular file; None where there is none that can be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > _MOST_JSON:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def bundle_files(folder: Path) -> Mapping[str, str] | None:
    """Relative path -> SHA-256 of the files of a bundle, by its manifest; None where the folder is no bundle of ours.

    A manifest of an earlier or later version of clearport counts, too; another program's ``manifest.json`` does not.
    """
    found = read_json(folder / MANIFEST)
    if not isinstance(found, dict) or not set(found) >= _MANIFEST_FIELDS:
        return None
    model, files = found["model"], found["files"]
    if not isinstance(model, dict) or not set(model) >= _MODEL_FIELDS or not isinstance(files, dict):
        return None
    if not all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in files.values()):
        return None
    return files


def is_bundle(folder: Path) -> bool:
    """Whether a path is the folder of a bundle, by its manifest."""
    return bundle_files(folder) is not None


def foreign(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Relative paths of what lies in a bundle's folder and is not as clearport wrote it: files, links, empty folders.

    A file of the bundle whose content was changed is among them; its manifest, checksums and reports are its own.
    """
    known = {MANIFEST, SUMS, *REPORTS, *added(folder)}
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = (here / name).as_posix()
            if Path(place, name).is_symlink() or not (path in known or name in SYSTEMS or _same(folder, path, files)):
                yield path
        if not names and not folders and here != Path():
            yield here.as_posix() + "/"


def added(folder: Path) -> Iterator[str]:
    """What lies beside the files of a bundle and may be replaced with it."""
    if is_signature(folder / SIGNATURE):
        yield SIGNATURE
    if is_pulled(folder / PULLED):
        yield PULLED


def _same(folder: Path, path: str, files: Mapping[str, str]) -> bool:
    """Whether a path is a file of the bundle, with the content that the manifest says."""
    if path not in files or not (folder / path).is_file():
        return False
    with (folder / path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == files[path]


def is_junit(path: Path) -> bool:
    """Whether a file is a JUnit report that clearport wrote: those of other tools have no such head."""
    try:
        with path.open("rb") as file:
            return file.read(len(JUNIT_HEAD)) == JUNIT_HEAD
    except OSError:
        return False


def is_bench_json(path: Path) -> bool:
    """Whether a file is what ``clearport bench --json`` writes: a record, or the note of a run that failed."""
    found = read_json(path)
    return isinstance(found, dict) and "clearport" in found and ({"plan", "rows"} <= set(found) or "error" in found)


def is_signature(path: Path) -> bool:
    """Whether a file is a sigstore bundle with a DSSE envelope, as ``clearport sign`` and model-signing write it."""
    found = read_json(path)
    return isinstance(found, dict) and {"mediaType", "verificationMaterial", "dsseEnvelope"} <= set(found)


def is_pulled(path: Path) -> bool:
    """Whether a file is what ``clearport pull`` says of a bundle."""
    found = read_json(path)
    return isinstance(found, dict) and {"schema_version", "store", "version", "left_out"} <= set(found)


def is_bom(path: Path) -> bool:
    """Whether a file is a CycloneDX document that clearport wrote."""
    found = read_json(path)
    if not isinstance(found, dict) or found.get("bomFormat") != "CycloneDX":
        return False
    tools = found.get("metadata", {}).get("tools") if isinstance(found.get("metadata"), dict) else None
    return isinstance(tools, dict) and any(
        isinstance(tool, dict) and tool.get("name") == "clearport" for tool in tools.get("components", ())
    )


def is_weights(path: Path) -> bool:
    """Whether a file is safetensors that clearport wrote: its metadata name the network and the scale."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if 2 <= length < _MOST_HEADER else None
    except (OSError, ValueError, struct.error, RecursionError):
        return False
    about = header.get("__metadata__") if isinstance(header, dict) else None
    return isinstance(about, dict) and {"network", "scale"} <= set(about)


def is_card(path: Path) -> bool:
    """Whether a file is the card of weights."""
    found = read_json(path)
    return isinstance(found, dict) and {"network", "scale", "training"} <= set(found)


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of ``clearport train``. Nothing is unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            words = archive.read(pickles[0]) if len(pickles) == 1 else b""
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError):
        return False
    return all(word in words for word in (b"trained", b"trainee", b"optimizer"))


def is_png(path: Path, *, marked: bool = False) -> bool:
    """Whether a file begins as a PNG does; ``marked``: as one that ``clearport run`` wrote."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_PNG) + 25 + 8 + len(PNG_MARK))
    except OSError:
        return False
    return head.startswith(_PNG) and (not marked or head.endswith(b"tEXt" + PNG_MARK))


def is_npy(path: Path) -> bool:
    """Whether a file is an array that ``clearport run`` wrote."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_NPY))
            file.seek(-len(NPY_MARK), 2)
            return start == _NPY and file.read() == NPY_MARK
    except OSError:
        return False


def is_browser_record(path: Path) -> bool:
    """Whether a file is a latency record of ``clearport serve``."""
    found = read_json(path)
    return isinstance(found, dict) and {"schema_version", "id", "bundle", "device", "rows"} <= set(found)
