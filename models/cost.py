"""How large a network is."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from clearport.base import Size


@dataclass(frozen=True)
class Cost:
    """``params`` are the trained numbers; ``macs`` the multiply-accumulates for one input of ``size``."""

    params: int
    macs: int
    size: Size


def cost(module: torch.nn.Module, size: Size) -> Cost:
    """Count parameters and multiply-accumulates on a (1, 3, H, W) input, without computing anything."""
    shadow = copy.deepcopy(module).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(torch.zeros(1, 3, size.height, size.width, device="meta"))
    return Cost(sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2, size)
