"""Helpers for published state dicts with other names: recognition by a unique name, renaming and reshaping."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from clearport.models.importers.checkpoint import Source


def renamed(source: Source, mark: str, rules: Sequence[tuple[str, str]]) -> dict[str, torch.Tensor] | None:
    """The tensors of ``source`` with ``rules`` (pattern, replacement) applied to each name in turn.

    Returns:
        None if it has no named tensors, or no name matches the pattern ``mark``.
    """
    state = source.tensors
    if state is None or not any(re.search(mark, key) for key in state):
        return None
    return {_rename(key, rules): value for key, value in state.items()}


def _rename(key: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def pointwise(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``state`` with weights of linear layers (out, in) reshaped to 1x1 convolutions (out, in, 1, 1)."""
    return {key: value[..., None, None] if value.dim() == 2 else value for key, value in state.items()}
