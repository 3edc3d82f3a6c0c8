"""Losses between the restored picture and its target, and total variation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from clearport.errors import BadInput

if TYPE_CHECKING:
    from clearport.models.data.crops import Batch
    from clearport.models.training.outputs import Restored

_WINDOW, _SIGMA = 11, 1.5


def target(batch: Batch) -> torch.Tensor:
    """The targets of a batch, whose existence the objective has checked."""
    assert batch.high is not None
    return batch.high


def l1(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error."""
    return F.l1_loss(restored.image, target(batch)) / peak


def l2(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean squared error, as in PSNR; for the last part of a training."""
    return F.mse_loss(restored.image, target(batch)) / peak**2


def charbonnier(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """L1 with a rounded tip: quadratic for errors well below half an 8-bit level."""
    knee = peak / 510.0
    return torch.sqrt((restored.image - target(batch)) ** 2 + knee**2).mean() / peak


def ssim(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """1 - SSIM, per color, with a Gaussian window of 11 pixels (Wang et al. 2004); 0 where both are equal.

    Raises:
        BadInput: the pictures are smaller than the window.
    """
    a, b = ((image - batch.black) / peak for image in (restored.image, target(batch)))
    if min(a.shape[-2:]) < _WINDOW:
        raise BadInput(f"the loss ssim needs pictures of at least {_WINDOW} pixels per side; use a larger --patch")
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a, var_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    similar = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
    similar = similar / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))
    return 1.0 - similar.mean()


def _smooth(image: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to (B, C, H-10, W-10): a Gaussian filter without padding.

    Computed by products with banded matrices: a depthwise convolution takes ten times as long on CPUs.
    """
    down, across = (_bands(n, image) for n in image.shape[-2:])
    return down @ image @ across.T


def _bands(length: int, like: torch.Tensor) -> torch.Tensor:
    """(length - 10, length): row i has the Gaussian window around pixel i + 5."""
    places = torch.arange(length, device=like.device, dtype=like.dtype)
    middles = torch.arange(_WINDOW // 2, length - _WINDOW // 2, device=like.device, dtype=like.dtype)
    distance = places[None] - middles[:, None]
    bell = torch.exp(-0.5 * (distance / _SIGMA) ** 2) * (distance.abs() <= _WINDOW // 2)
    return bell / bell.sum(dim=1, keepdim=True)


def gradient(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Mean absolute error of the Sobel gradients (GRASPP-GAN, arXiv 1910.03839)."""
    return sobel(restored.image - target(batch)).abs().mean() / peak


def sobel(image: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to its gradients along x and y, (2, B, C, H-2, W-2), in levels per pixel."""
    across, down = image[..., 2:] - image[..., :-2], image[..., 2:, :] - image[..., :-2, :]
    along_x = across[..., :-2, :] + 2.0 * across[..., 1:-1, :] + across[..., 2:, :]
    along_y = down[..., :-2] + 2.0 * down[..., 1:-1] + down[..., 2:]
    return torch.stack([along_x, along_y]) / 8.0


def tv(restored: Restored, batch: Batch, peak: float) -> torch.Tensor:
    """Total variation of the restored picture: mean absolute vertical and horizontal differences."""
    del batch
    down, across = steps(restored.image)
    return (down.abs().mean() + across.abs().mean()) / peak


def steps(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighbors down (B, C, H-1, W) and across (B, C, H, W-1)."""
    return image[..., 1:, :] - image[..., :-1, :], image[..., 1:] - image[..., :-1]


LOSSES: Mapping[str, Callable[[Restored, Batch, float], torch.Tensor]] = MappingProxyType(
    {"l1": l1, "l2": l2, "charbonnier": charbonnier, "ssim": ssim, "gradient": gradient, "tv": tv}
)
