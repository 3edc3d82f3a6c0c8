"""Published state dicts whose names differ from ours: renamed, reshaped, and told apart by a name only they have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clearport.models.weights import is_pytorch, read_pytorch

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def renamed(path: Path, mark: str, rules: Sequence[tuple[str, str]]) -> dict[str, torch.Tensor] | None:
    """The state dict in ``path`` with ``rules`` (pattern, replacement) applied to each name in turn.

    Returns:
        None where it is no PyTorch file, or no name in it contains the pattern ``mark``.

    Raises:
        BadInput: it is a damaged PyTorch file, or holds more than tensors.
    """
    if not is_pytorch(path):
        return None
    state = read_pytorch(path)
    if not any(re.search(mark, key) for key in state):
        return None
    return {_rename(key, rules): value for key, value in state.items()}


def _rename(key: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def pointwise(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``state`` with the matrices of linear layers (out, in) as kernels of 1x1 convolutions (out, in, 1, 1)."""
    return {key: value[..., None, None] if value.dim() == 2 else value for key, value in state.items()}
