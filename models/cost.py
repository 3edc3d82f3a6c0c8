"""Size and computational cost of a network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from clearport.graph.shapes import shape_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Size, TensorSpec


@dataclass(frozen=True)
class Cost:
    """``params`` is the number of trained parameters; ``macs`` the multiply-accumulates for one input of ``size``."""

    params: int
    macs: int
    size: Size


def cost(module: torch.nn.Module, size: Size, inputs: Sequence[TensorSpec] = ()) -> Cost:
    """Count parameters and multiply-accumulates without computing anything.

    Args:
        module: the network.
        size: input size.
        inputs: its inputs; empty for one picture (1, 3, H, W).
    """
    shadow = copy.deepcopy(module).to("meta")
    taken = [shape_at(each, size) for each in inputs] or [(1, 3, size.height, size.width)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(*(torch.zeros(shape, device="meta") for shape in taken))
    return Cost(sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2, size)
