"""Importer of IAT's published weights: PyTorch state dicts with the keys ``local_net.*`` and ``global_net.*``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from clearport.models.importers.checkpoint import Source

_KEYS = 161
_TINY = 1e-30
_NAMES = (
    (r"local_net\.conv1\.", "local.head."),
    (r"local_net\.mul_end\.0\.", "local.multiply_tail."),
    (r"local_net\.add_end\.0\.", "local.add_tail."),
    (r"local_net\.mul_blocks\.(\d)\.", r"local.multiply.\1."),
    (r"local_net\.add_blocks\.(\d)\.", r"local.add.\1."),
    (r"global_net\.conv_large\.proj\.0\.", "whole.first."),
    (r"global_net\.conv_large\.proj\.1\.", "whole.norm_first."),
    (r"global_net\.conv_large\.proj\.3\.", "whole.second."),
    (r"global_net\.conv_large\.proj\.4\.", "whole.norm_second."),
    (r"global_net\.generator\.attn\.", "whole.attention."),
    (r"global_net\.generator\.", "whole."),
    (r"global_net\.gamma_linear\.", "whole.gamma."),
    (r"global_net\.color_linear\.", "whole.color."),
    (r"global_net\.", "whole."),
)
_PARTS = (
    ("gamma_1", "scale1"),
    ("gamma_2", "scale2"),
    ("pos_embed.", "near."),
    ("mlp.fc1.", "expand."),
    ("mlp.fc2.", "reduce."),
)
_LOCAL_PARTS = (
    ("norm1.", "mix1."),
    ("norm2.", "mix2."),
    ("conv1.", "before."),
    ("conv2.", "after."),
    ("attn.", "wide."),
)


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The authors' weights under clearport's names, or None for any other file.

    Weight decay has reduced many of them to 1e-41. Such subnormals are slow, and zero in most runtimes, so they are set
    to zero.
    """
    del scale  # it has one
    state = source.tensors
    if state is None or len(state) != _KEYS or not all(key.startswith(("local_net.", "global_net.")) for key in state):
        return None
    return {_own_name(key): _without_dust(value) for key, value in state.items()}


def _own_name(key: str) -> str:
    name = key
    for pattern, own in _NAMES:
        name, changed = re.subn(f"^{pattern}", own, name)
        if changed:
            break
    block = name.startswith(("local.multiply.", "local.add."))
    for theirs, own in (*_PARTS, *(_LOCAL_PARTS if block else ())):
        name = name.replace(f".{theirs}", f".{own}")
    return name


def _without_dust(value: torch.Tensor) -> torch.Tensor:
    return torch.where(value.abs() < _TINY, 0.0, value) if value.is_floating_point() else value
