"""Quantized forms of earlier exports, in the user's cache.

The key covers everything that a form depends on: the command with its options, the graph, the pixels of the photos,
clearport's code of these stages, the installed libraries, and the processor, whose kernels determine the last bits.
Hence a cached form is bit-identical to a recomputed one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load, save

from clearport.bundle.replays import processor
from clearport.disk.cache import Cache, Damaged, folder
from clearport.protocols import no_progress
from clearport.registry import installed_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Array
    from clearport.protocols import Progress

    Form = tuple[dict[str, Any], Array]

_CODE = ("base", "quantized", "pipeline.isolated", "graph", "operators", "quantize")
"""The modules and packages of clearport that a form depends on."""

_LIBRARIES = ("clearport", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript", "scipy", "torch")

_MODEL, _HEAD = "model", "form"


def forms() -> Cache:
    """The cache of quantized forms."""
    return Cache(folder() / "quantized")


def key_of(command: str, head: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """The key of a command with its arguments: a SHA-256, in hexadecimal."""
    about = {"command": command, "head": head, "code": _code(), "on": _surroundings()}
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, array in arrays.items():
        found.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def read(kept: Cache, key: str, progress: Progress = no_progress) -> Form | None:
    """The form of a key; None if missing or damaged (reported to ``progress``)."""
    try:
        content = kept.get(key)
        return None if content is None else _unpacked(content)
    except Damaged as damaged:
        progress(f"{damaged}: the cached int8 form was damaged and is removed; computing it again", 0, 0)
        return None


def write(kept: Cache, key: str, head: Mapping[str, Any], model: Array) -> None:
    """Store a form, unless the disk is full, read-only or not ours."""
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    kept.put(key, save({_HEAD: text, _MODEL: model}))


def _unpacked(content: bytes) -> Form:
    found = load(content)
    return json.loads(found[_HEAD].tobytes()), found[_MODEL]


@cache
def _code() -> str:
    """A digest of clearport's code on which forms depend."""
    found = hashlib.sha256()
    for name in _CODE:
        spec = importlib.util.find_spec(f"clearport.{name}")
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        for path in sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]:
            found.update(f"{name} {path.relative_to(origin.parent).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _surroundings() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "processor": processor(),
        "libraries": installed_versions(_LIBRARIES),
    }
