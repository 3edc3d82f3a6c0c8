"""Deterministic writer of ``.mlpackage`` folders.

coremltools' own writer puts random UUIDs into ``Manifest.json``, the day's date into the metadata, and leaves the
order of protobuf maps to chance. Here identifiers are derived from the paths, the date is left out, and maps are
serialized in the order of their keys.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearport.disk.files import atomic_path

MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")
_ITEMS = (
    ("com.apple.CoreML/model.mlmodel", "model.mlmodel", "CoreML Model Specification"),
    ("com.apple.CoreML/weights", "weights", "CoreML Model Weights"),
)


@dataclass(frozen=True)
class Description:
    """Model metadata shown by Xcode; ``facts`` are the user-defined entries."""

    short: str
    author: str
    license: str
    version: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    facts: Mapping[str, str]


def write(model: Any, description: Description, folder: Path) -> None:
    """Write a ``coremltools`` model as the ``.mlpackage`` at ``folder``, whole or not at all.

    Raises:
        BadInput: the disk is full, or the place cannot be written.
    """
    spec = model.get_spec()
    _describe(spec, description)
    with atomic_path(folder) as temporary:
        (temporary / WEIGHTS).parent.mkdir(parents=True)
        (temporary / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
        blobs = Path(model.weights_dir or "") / WEIGHTS.name
        if blobs.is_file():  # absent if every constant is small enough to be inline in the program
            shutil.copyfile(blobs, temporary / WEIGHTS)
        (temporary / "Manifest.json").write_text(_manifest())


def _describe(spec: Any, description: Description) -> None:
    shown = spec.description.metadata
    shown.shortDescription = description.short
    shown.author = description.author
    shown.license = description.license
    shown.versionString = description.version
    shown.userDefined.clear()
    shown.userDefined.update(description.facts)
    for features, texts in (
        (spec.description.input, description.inputs),
        (spec.description.output, description.outputs),
    ):
        for feature in features:
            feature.shortDescription = texts[feature.name]


def _manifest() -> str:
    """The list of the package's items, as Core ML reads it."""
    entries = {
        _identifier(path): {"author": "com.apple.CoreML", "description": text, "name": name, "path": path}
        for path, name, text in _ITEMS
    }
    content = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": _identifier(_ITEMS[0][0]),
    }
    return json.dumps(content, indent=4, sort_keys=True) + "\n"


def _identifier(path: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, path)).upper()
