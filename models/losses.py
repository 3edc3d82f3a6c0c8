"""Training losses by name: ``loss(restored, target, peak)`` on tensors of the same shape whose white is ``peak``.

The result is in shares of the peak, so that learning rates and gradient norms mean the same for every value range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch.nn import functional as F

from clearport.base import BadInput

Loss = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def l1(restored: torch.Tensor, target: torch.Tensor, peak: float) -> torch.Tensor:
    """Mean absolute error."""
    return F.l1_loss(restored, target) / peak


def l2(restored: torch.Tensor, target: torch.Tensor, peak: float) -> torch.Tensor:
    """Mean squared error: what PSNR measures; for the last stretch of a training."""
    return F.mse_loss(restored, target) / peak**2


def charbonnier(restored: torch.Tensor, target: torch.Tensor, peak: float) -> torch.Tensor:
    """L1 with a rounded tip: quadratic for errors well below half an 8-bit level."""
    knee = peak / 510.0
    return torch.sqrt((restored - target) ** 2 + knee**2).mean() / peak


LOSSES: Mapping[str, Loss] = MappingProxyType({"l1": l1, "l2": l2, "charbonnier": charbonnier})


def loss(name: str) -> Loss:
    """The loss called ``name``.

    Raises:
        BadInput: there is none of that name.
    """
    if name not in LOSSES:
        raise BadInput(f"unknown loss {name!r} (there are: {', '.join(sorted(LOSSES))})")
    return LOSSES[name]
