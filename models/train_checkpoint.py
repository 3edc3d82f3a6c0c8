"""The state of a training on disk: a torch file of plain tensors, numbers and dicts, written atomically."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from clearport.base import BadInput
from clearport.files import atomic_path


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` to ``path``; an older checkpoint stays until the new one is whole."""
    with atomic_path(path) as temporary:
        torch.save(dict(state), temporary)


def load(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of the training that ``identity`` describes.

    Raises:
        BadInput: it is missing, cannot be read, or belongs to another training (the message says what differs).
    """
    if not path.is_file():
        raise BadInput(f"{path}: there is no checkpoint to go on from; leave --resume out to begin")
    try:
        with path.open("rb") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        found = dict(state["trained"])
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not a training checkpoint, or damaged ({str(error).splitlines()[0]})") from error
    different = [f"{k} {found.get(k)!r}, now {v!r}" for k, v in identity.items() if found.get(k) != v]
    if different:
        raise BadInput(f"{path}: belongs to another training ({'; '.join(different)}); use the same options or --out")
    return dict(state)
