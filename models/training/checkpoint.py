"""The state of a training on disk: a torch file of plain tensors, numbers and dicts, written atomically."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clearport.disk.files import write_bytes
from clearport.errors import BadInput
from clearport.models.importers.checkpoint import open_archive


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path``, atomically.

    Raises:
        BadInput: the disk is full, or the path cannot be written.
    """
    data = io.BytesIO()  # with a full disk, torch's own writer raises a RuntimeError without a reason
    torch.save(dict(state), data)
    write_bytes(path, data.getvalue())


def load(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of the training described by ``identity``.

    Raises:
        BadInput: it is missing, cannot be read, or belongs to a different training run (the message says what differs).
    """
    if not path.is_file():
        raise BadInput(f"{path}: no checkpoint to resume from; omit --resume to start anew")
    state = open_archive(path)
    if not isinstance(state, dict) or not isinstance(state.get("trained"), dict):
        raise BadInput(f"{path}: not a training checkpoint; omit --resume to start anew")
    found = state["trained"]
    different = [f"{k} {found.get(k)!r}, now {v!r}" for k, v in identity.items() if found.get(k) != v]
    if different:
        raise BadInput(
            f"{path}: belongs to a different training run ({'; '.join(different)}); use the same options or --out"
        )
    return state
