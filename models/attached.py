"""An int8 form within a weights file: what ``clearport train --qat`` adds to the float weights.

The file remains a weights file of the same network: its tensors are the float weights, and readers of weights ignore
the attached form. A metadata entry has the form's decisions as text, and additional tensors have its constants. The
entry records the SHA-256 of the float weights and of the constants; if either was changed, the form is rejected.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import BadInput
from clearport.models.importers import checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from clearport.base import Array

_VERSION = 1

AGAIN = "train it again with --qat, or export the weights that it started from"
"""What to do about a form that cannot be used."""


@dataclass(frozen=True)
class Attached:
    """An attached int8 form: ``text`` (JSON, from ``quantize.trained.form``) and its constants (float32)."""

    text: str
    arrays: Mapping[str, Array]


def attach(state: Mapping[str, torch.Tensor], form: Attached) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the metadata of a weights file with the form."""
    import torch

    tensors = {checkpoint.ATTACHED + name: torch.from_numpy(np.array(array)) for name, array in form.arrays.items()}
    about = {"version": _VERSION, "weights_sha256": digest_of(state), "form": json.loads(form.text)}
    about["arrays_sha256"] = digest_of(tensors)
    return {**state, **tensors}, {checkpoint.ATTACHED: json.dumps(about, sort_keys=True, separators=(",", ":"))}


def attached(path: Path) -> Attached | None:
    """The int8 form in a weights file; None if it has none.

    Raises:
        BadInput: the form is damaged, has another version, or was trained for other weights.
    """
    if not path.is_file() or not checkpoint.is_safetensors(path):
        return None
    state, metadata = checkpoint.read_safetensors(path)
    if checkpoint.ATTACHED not in metadata:
        return None
    tensors = {name: value for name, value in state.items() if name.startswith(checkpoint.ATTACHED)}
    about = _read(metadata[checkpoint.ATTACHED], path)
    if about.get("version") != _VERSION:
        raise BadInput(f"{path}: its int8 form has version {about.get('version')!r}, expected {_VERSION}: {AGAIN}")
    plain = {name: value for name, value in state.items() if name not in tensors}
    for what, found in (("weights", plain), ("arrays", tensors)):
        if about.get(f"{what}_sha256") != digest_of(found):
            changed = "float weights" if what == "weights" else "int8 constants"
            raise BadInput(f"{path}: its {changed} were changed after the int8 form was trained: {AGAIN}")
    arrays = {name.removeprefix(checkpoint.ATTACHED): value.numpy() for name, value in tensors.items()}
    return Attached(json.dumps(about["form"], separators=(",", ":")), arrays)


def _read(text: str, path: Path) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: its int8 form is not readable JSON: {AGAIN}") from error
    if not isinstance(about, dict) or not isinstance(about.get("form"), dict):
        raise BadInput(f"{path}: its int8 form is not one of clearport: {AGAIN}")
    return about


def digest_of(state: Mapping[str, torch.Tensor]) -> str:
    """The SHA-256 of the tensors' names, shapes and float32 values, as hex."""
    found = hashlib.sha256()
    for name, value in sorted(state.items()):
        found.update(f"\n{name} {list(value.shape)}\n".encode())
        found.update(value.detach().float().contiguous().cpu().numpy().astype("<f4").tobytes())
    return found.hexdigest()
