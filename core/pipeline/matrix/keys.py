"""The content address of an export: a digest of all that determines its files.

That is the request with the content of every file that it names, clearport's own code, weights and samples, the
versions of the packages that take part, and the processor, whose kernels determine the last bits and the proof. Times,
paths and file names (except those that name the network) are excluded.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from clearport import __version__
from clearport.bundle.replays import processor
from clearport.disk.files import file_sha256
from clearport.disk.litter import walk
from clearport.errors import BadInput
from clearport.registry import TARGETS
from clearport.runtime.worker.launch import package_folders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.pipeline.matrix.plan import Job

PROCESSOR = "processor"
_NOT_OURS = {"__pycache__", "web", "cli", "node_modules", "reports", "training", "devices", "stores"}
"""Folders whose content does not change an export's files, except the appearance of its report."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"extra == ['\"]([a-z]+)['\"]")
_SHOWING = {"filelock", "jinja2", "psutil", "pydantic", "rich", "semver", "typer"}
"""Packages that do not affect the files."""


@cache
def code_digest() -> str:
    """A digest of clearport's code, weights and samples."""
    digest = hashlib.sha256()
    for package, folder in sorted(package_folders().items()):
        for place, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if name not in _NOT_OURS and not name.startswith("."))
            for name in sorted(names):
                path = Path(place, name)
                if not name.startswith(".") and path.suffix not in {".pyc", ".md"}:
                    inner = path.relative_to(folder).as_posix()
                    digest.update(f"{package} {inner} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


@cache
def package_versions() -> Mapping[str, str]:
    """The installed packages that take part in writing and proving files: clearport's own and those of targets."""
    try:
        declared = metadata.requires("clearport") or []
    except metadata.PackageNotFoundError:
        declared = []
    found = {}
    for line in declared:
        name, extra = _NAME.match(line), _EXTRA.search(line)
        if name is None or name[0] in _SHOWING or (extra is not None and extra[1] not in TARGETS.names()):
            continue
        try:
            found[name[0]] = metadata.version(name[0])
        except metadata.PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """What determines a job's files besides the job itself, on this machine."""
    return {
        "clearport": __version__,
        "code": code_digest(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": f"{platform.system()} {platform.machine()}",
        PROCESSOR: processor(),
        **package_versions(),
    }


def key_of(job: Job, where: Mapping[str, str]) -> str:
    """The content address of a job, SHA-256 in hexadecimal; ``where`` is the ``environment`` that it runs in.

    Raises:
        BadInput: a file that it names cannot be read.
    """
    files = {field: contents(field, path) for field, path in job.places.items()}
    apart = {"name", "label", "folder", *files}  # paths, and names that stand for content
    plain = {field: value for field, value in asdict(job).items() if field not in apart}
    text = json.dumps({"job": plain, "files": files, "environment": dict(where)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def contents(field: str, path: Path) -> list[tuple[str, str]]:
    """(relative name, SHA-256) of the files of ``named_files``."""
    try:
        return [(name, file_sha256(file)) for name, file in named_files(field, path)]
    except OSError as error:
        raise BadInput(f"{path}: it cannot be read: {error.strerror or error}") from error


def named_files(field: str, path: Path) -> list[tuple[str, Path]]:
    """(relative name, file) of all files that an export reads for a field of its job.

    These are a file, with the external data of an ONNX file and the card of weights, or every file below a folder,
    including linked folders.
    """
    if path.is_dir():
        return [(file.relative_to(path).as_posix(), file) for _, _, files in walk(path) for file in files]
    beside = _card(path) if field == "weights" else _external_data(path)
    return [(path.name, path), *((name, path.parent / name) for name in beside)]


def _card(weights: Path) -> list[str]:
    from clearport.models.weights import card_path

    card = card_path(weights)
    return [card.name] if card.is_file() and card != weights else []


def _external_data(path: Path) -> list[str]:
    """The names of an ONNX file's external data, relative to its folder; empty for other files."""
    if path.suffix.lower() != ".onnx":
        return []
    import onnx
    from google.protobuf.message import DecodeError

    from clearport.export.from_onnx.tensors import location_of, place_of, tensors

    model = onnx.ModelProto()
    found: set[str] = set()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, RuntimeError):
        return []  # the export reports it
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            with suppress(BadInput):  # likewise
                place_of(tensor, path)
                found.add(location_of(tensor))
    return sorted(found)
