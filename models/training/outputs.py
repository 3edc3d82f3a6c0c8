"""A network's outputs in training: the picture, and other maps for its losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from clearport.errors import BadInput
from clearport.models import normalized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import TensorSpec


@dataclass(frozen=True)
class Restored:
    """The outputs of a network in training mode; in eval mode a network returns only ``image``, clipped.

    Attributes:
        image: (B, 3, H*scale, W*scale) in the network's value range, not clipped.
        auxiliary: the picture from auxiliary heads, each (B, 3, h, w) of any smaller or equal size.
        maps: other estimates, by name and in natural units: ``rain`` (B, 1 or 3, H, W) in the value range,
            ``rain_mask``, ``transmission`` (B, 1 or 3, H, W) in 0..1, ``streak_transmission``, ``light`` (B, 3, 1, 1)
            in the value range, ``curves``, ``gamma``.
    """

    image: torch.Tensor
    auxiliary: tuple[torch.Tensor, ...] = ()
    maps: Mapping[str, torch.Tensor] = field(default_factory=dict)


def restored(output: torch.Tensor | Restored) -> Restored:
    """A network's outputs as ``Restored``."""
    return output if isinstance(output, Restored) else Restored(output)


def taken(low: torch.Tensor, truth: Mapping[str, torch.Tensor], inputs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    """The inputs of a network, in order.

    Args:
        low: pictures (B, C, h, w), concatenated along the channels.
        truth: other values of a degradation, by name of the input: maps (B, C, h, w), and (B, N, 1, 1), which becomes
            (B, N).
        inputs: inputs of the network's ``ModelSpec``; empty for one picture.

    Raises:
        BadInput: the data lack an input.
    """
    if not inputs:
        return [low]
    pictures = [each.channels or 0 for each in inputs if each.is_picture]
    lacking = [each.name for each in inputs if not each.is_picture and each.name not in truth]
    if lacking:
        raise BadInput(f"the network needs the input {lacking[0]!r}, which these data lack: omit --degradation")
    parts = iter(torch.split(low, pictures, dim=1) if pictures else ())
    return [
        normalized.wanted(next(parts), each) if each.is_picture else _other(truth[each.name], each) for each in inputs
    ]


def _other(drawn: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    return drawn if spec.kind == "map" else drawn.flatten(1)
