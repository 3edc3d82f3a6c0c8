"""The note of a pull, ``pulled.json``: where a bundle came from, and which of its artifacts were left out.

The manifest and the checksums stay as published, so that their signature remains valid; readers of the bundle get the
manifest of the present files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from clearport.base import Skipped
from clearport.bundle.fields import Text
from clearport.bundle.files import PULLED
from clearport.bundle.manifest import GoldenRecord, Manifest
from clearport.disk.json_files import read_model


class Pulled(BaseModel):
    """``left_out`` has the keys of the omitted artifacts, such as ``tflite/fp32``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    store: Text
    name: Text
    version: Text
    left_out: tuple[Text, ...] = ()


def read_pulled(folder: Path) -> Pulled | None:
    """The note in a bundle, or None.

    Raises:
        BadInput: it is invalid.
    """
    path = folder / PULLED
    return read_model(path, Pulled, "the note of a pull") if os.path.lexists(path) else None


def parted(manifest: Manifest, pulled: Pulled | None) -> tuple[Manifest, Mapping[str, str]]:
    """The manifest of the present files, and path -> SHA-256 of the omitted ones."""
    gone = set(pulled.left_out) if pulled else set()
    left = [artifact for artifact in manifest.artifacts if artifact.key in gone]
    if pulled is None or not left:
        return manifest, {}
    reason = f"left out when it was pulled from {pulled.store}; to get everything: clearport pull {_whole(pulled)}"
    files = {path: sha for path, sha in manifest.files.items() if any(a.holds(path) for a in left)}
    rest = {
        "artifacts": tuple(a for a in manifest.artifacts if a not in left),
        "skipped": (*manifest.skipped, *(Skipped(a.key, reason) for a in left)),
        "goldens": tuple(_judging(golden, gone) for golden in manifest.goldens),
        "quality": tuple(row for row in manifest.quality if row.subject not in gone),
        "device_rows": tuple(row for row in manifest.device_rows if row.artifact not in gone),
        "files": {path: sha for path, sha in manifest.files.items() if path not in files},
    }
    return manifest.model_copy(update=rest), files


def _whole(pulled: Pulled) -> str:
    return f"{pulled.store.rstrip('/')}/{pulled.name}@{pulled.version}"


def _judging(golden: GoldenRecord, gone: set[str]) -> GoldenRecord:
    kept = {
        name: {key: limit for key, limit in getattr(golden, name).items() if key not in gone}
        for name in ("tolerances", "value_tolerances")
    }
    return golden.model_copy(update=kept)
