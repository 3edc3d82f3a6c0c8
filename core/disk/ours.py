"""Detect whether clearport wrote a file, from its content, not its name alone.

An unreadable file counts as not ours.
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
SYSTEM = "system.json"
"""The manifest of a system: a folder of several bundles, its parts."""
SUMS = "SHA256SUMS"
REPORTS = ("report.html", "report.md")
SIGNATURE = "model.sig"
"""A bundle's signature in the format of OpenSSF model signing, under the name used by its own tool."""
PULLED = "pulled.json"
"""The source of a pulled bundle, and its omitted artifacts."""
UNLISTED = (SUMS, *REPORTS, SIGNATURE, PULLED)
"""Files of a bundle that its checksum list omits."""
LOCK = ".clearport-lock"
"""Suffix of lock files."""

SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that file managers create in every folder that they show."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_JSON = 64 << 20
_MOST_HEADER = 16 << 20
_MANIFEST_FIELDS = {"schema_version", "model", "pixel_contract", "artifacts", "skipped", "goldens", "files"}
_SYSTEM_FIELDS = {"schema_version", "name", "parts", "program", "rows", "files"}
PARTS = "parts"
"""The folder of a system's parts."""
_MODEL_FIELDS = {"name", "scale", "weights_sha256"}
_PNG = b"\x89PNG\r\n\x1a\n"
JUNIT_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- written by clearport -->\n<testsuites '
"""The start of our JUnit reports."""

MATRIX_MARK = b"clearport: support matrix"
"""What pages of ``clearport matrix`` have near their start."""
HEAT_MAP_MARK = b'<meta name="generator" content="clearport diagnose">'
"""In the head of heat maps."""
_HEAD_BYTES = 1024

NPY_MARK = b"\nclearport run\n"
"""The mark after the data of an array written by ``clearport run``."""
_NPY = b"\x93NUMPY"
RADIANCE_MARK = b"#?RADIANCE\nSOFTWARE=clearport\n"
"""The start of pictures of high dynamic range of ``clearport run``."""
PNG_MARK = b"Software\0clearport"
"""The content of the tEXt chunk right after the header in pictures of ``clearport run``."""


def read_json(path: Path) -> Any:
    """The JSON document in a regular file; None if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > _MOST_JSON:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def bundle_files(folder: Path) -> Mapping[str, str] | None:
    """Relative path -> SHA-256 of the files of a bundle, by its manifest; None if the folder is not our bundle.

    A manifest of an earlier or later version of clearport counts, too; another program's ``manifest.json`` does not.
    The files of a system include those of its parts.
    """
    if (folder / SYSTEM).is_file():
        return _system_files(folder)
    found = read_json(folder / MANIFEST)
    if not isinstance(found, dict) or not set(found) >= _MANIFEST_FIELDS:
        return None
    model, files = found["model"], found["files"]
    if not isinstance(model, dict) or not set(model) >= _MODEL_FIELDS or not isinstance(files, dict):
        return None
    if not all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in files.values()):
        return None
    return files


def _system_files(folder: Path) -> Mapping[str, str] | None:
    found = read_json(folder / SYSTEM)
    if not isinstance(found, dict) or not set(found) >= _SYSTEM_FIELDS or not isinstance(found["files"], dict):
        return None
    files = dict(found["files"])
    for place in system_parts(folder):
        below = bundle_files(folder / place)
        if below is None:
            return None
        files |= {f"{place}/{name}": digest for name, digest in below.items()}
    return files if all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in files.values()) else None


def system_parts(folder: Path) -> list[str]:
    """The folders of a system's parts, as they lie there."""
    found = [path for path in (folder / PARTS).glob("*") if not path.is_symlink() and (path / MANIFEST).is_file()]
    return sorted(f"{PARTS}/{path.name}" for path in found)


def is_bundle(folder: Path) -> bool:
    """Whether a path is the folder of a bundle, by its manifest."""
    return bundle_files(folder) is not None


def foreign(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Relative paths in a bundle's folder that clearport did not write: files, links, empty folders.

    They include changed files of the bundle; its manifest, checksums and reports are its own.
    """
    whole = (folder / SYSTEM).is_file()
    known = {SYSTEM if whole else MANIFEST, SUMS, *REPORTS, *added(folder)}
    for part in system_parts(folder) if whole else ():
        known |= {f"{part}/{name}" for name in (MANIFEST, SUMS, *REPORTS, *added(folder / part))}
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
    """Files beside those of a bundle that may be replaced with it."""
    if is_signature(folder / SIGNATURE):
        yield SIGNATURE
    if is_pulled(folder / PULLED):
        yield PULLED


def _same(folder: Path, path: str, files: Mapping[str, str]) -> bool:
    """Whether a path is a file of the bundle, with the content given in the manifest."""
    if path not in files or not (folder / path).is_file():
        return False
    with (folder / path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == files[path]


def is_junit(path: Path) -> bool:
    """Whether a file is a JUnit report written by clearport, by its header."""
    try:
        with path.open("rb") as file:
            return file.read(len(JUNIT_HEAD)) == JUNIT_HEAD
    except OSError:
        return False


def is_bench_json(path: Path) -> bool:
    """Whether a file was written by ``clearport bench --json``: a record, or the note of a failed run."""
    found = read_json(path)
    return isinstance(found, dict) and "clearport" in found and ({"plan", "rows"} <= set(found) or "error" in found)


def is_diagnosis(path: Path) -> bool:
    """Whether a file is the JSON of ``clearport diagnose``."""
    found = read_json(path)
    return isinstance(found, dict) and set(found) >= {"network", "picture", "layers", "witnesses", "unseen"}


def is_node_data(path: Path) -> bool:
    """Whether a file is what ``clearport diagnose`` writes for Model Explorer."""
    found = read_json(path)
    parts = list(found.values()) if isinstance(found, dict) else []
    return len(parts) == 1 and isinstance(parts[0], dict) and set(parts[0]) == {"results", "gradient"}


def is_heat_map(path: Path) -> bool:
    """Whether a file is the heat map of ``clearport diagnose``."""
    return _begins_with(path, HEAT_MAP_MARK)


def _begins_with(path: Path, mark: bytes) -> bool:
    """Whether a page has a mark near its start."""
    try:
        with path.open("rb") as file:
            return mark in file.read(_HEAD_BYTES)
    except OSError:
        return False


def is_signature(path: Path) -> bool:
    """Whether a file is a sigstore bundle with a DSSE envelope, as ``clearport sign`` and model-signing write it."""
    found = read_json(path)
    return isinstance(found, dict) and {"mediaType", "verificationMaterial", "dsseEnvelope"} <= set(found)


def is_pulled(path: Path) -> bool:
    """Whether a file is a note of ``clearport pull``."""
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
    """Whether a file is a PNG, by its header; ``marked``: one that clearport wrote."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_PNG) + 25 + 8 + len(PNG_MARK))
    except OSError:
        return False
    return head.startswith(_PNG) and (not marked or head.endswith(b"tEXt" + PNG_MARK))


def is_radiance(path: Path) -> bool:
    """Whether a file is a Radiance picture that clearport wrote."""
    try:
        with path.open("rb") as file:
            return file.read(len(RADIANCE_MARK)) == RADIANCE_MARK
    except OSError:
        return False


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


def is_matrix(path: Path) -> bool:
    """Whether a file is the record of ``clearport matrix``."""
    found = read_json(path)
    return isinstance(found, dict) and {"schema_version", "clearport", "tool_versions", "rows"} <= set(found)


def is_matrix_page(path: Path) -> bool:
    """Whether a file is a page of ``clearport matrix``, by its beginning."""
    return _begins_with(path, MATRIX_MARK)
