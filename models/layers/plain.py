"""Shared parts of networks of plain convolutions: an initialization near the identity, and the network of two papers.

All pixels are positive. Filters with a positive sum make positive features, and layers near the identity keep them
positive: initially no ReLU clips, and the network learns from the first step. With random signs, about half of the
first features would hardly ever be active.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

_MIDDLE = 4
HALO = _MIDDLE + 3
"""Receptive field radius of ``PlainNet``: one pixel per 3x3 convolution."""

_WHITE = 255.0


def nearest_kernel(scale: int, colors: int = 3) -> torch.Tensor:
    """Kernel (colors*s², colors, 1, 1): output channel c*s²+k copies color c, in PixelShuffle's channel order."""
    return torch.eye(colors).repeat_interleave(scale * scale, dim=0)[..., None, None]


@torch.no_grad()
def start_first(weight: torch.Tensor) -> None:
    """Initialize the kernel (out, in, k, k) of a network's first convolution: edge filters plus a share of the pixel
    itself.
    """
    middle = weight.shape[-1] // 2
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
    weight[:, :, middle, middle] += 0.5 + 0.5 * torch.rand(weight.shape[0], weight.shape[1])


@torch.no_grad()
def start_middle(weight: torch.Tensor, groups: int = 1, noise: float = 0.3) -> None:
    """Initialize a kernel (out, in/groups, k, k) with the identity, plus ``noise`` times the usual random values."""
    nn.init.dirac_(weight, groups)
    weight += noise * nn.init.kaiming_normal_(torch.empty_like(weight), nonlinearity="relu")


def start_tail(weight: torch.Tensor) -> None:
    """Initialize the kernel of a network's last convolution, whose output is added to an upscaled image, near zero."""
    nn.init.normal_(weight, std=1e-3)


def zero_biases(network: nn.Module) -> None:
    """Set the biases of all convolutions to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


class PlainNet(nn.Module):
    """Seven plain convolutions that learn a residual of nearest upsampling: (B, 3, H, W) to (B, 3, H*scale, W*scale),
    0..255.

        image ─┬─ conv 3-width ─ 4 × conv width-width ─ conv width-3s² (3x3, ReLU after each) ─ conv 3s²-3s² ─┐
               └─ frozen 1x1 convolution: each color s² times ──────────────────────────────────────────── add ─
                                                                                            PixelShuffle ─ clip

    The added channels become nearest-neighbor upsampling after PixelShuffle, so that the convolutions learn a residual
    of small values. Their kernel is a buffer, neither a parameter nor in the state dict. In training mode the output is
    not clipped, to keep gradients beyond black and white.
    """

    nearest: torch.Tensor

    def __init__(self, scale: int, width: int) -> None:
        super().__init__()
        colors = 3 * scale * scale
        widths = [3, *[width] * (_MIDDLE + 1), colors]
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.tail = nn.Conv2d(colors, colors, 3, padding=1)
        self.upsample = nn.PixelShuffle(scale)
        self.register_buffer("nearest", nearest_kernel(scale), persistent=False)
        self._start()

    def _start(self) -> None:
        kernels = [module.weight for module in self.body if isinstance(module, nn.Conv2d)]
        start_first(kernels[0])
        for kernel in kernels[1:]:
            start_middle(kernel)
        start_tail(self.tail.weight)
        zero_biases(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = image
        for convolution in self.body:
            features = F.relu(convolution(features))
        restored: torch.Tensor = self.upsample(self.tail(features) + F.conv2d(image, self.nearest))
        return restored if self.training else restored.clamp(0.0, _WHITE)
