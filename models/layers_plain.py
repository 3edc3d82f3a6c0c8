"""What networks of plain convolutions share: nearest upsampling as a convolution, and a start that passes the image on.

All pixels are positive. Filters with a positive sum give positive features, and layers near the identity keep them
so: no ReLU cuts anything off at first, and the network learns from the first step. From random signs, about half of
the first features would hardly ever be active.
"""

from __future__ import annotations

import torch
from torch import nn


def nearest_kernel(scale: int, colours: int = 3) -> torch.Tensor:
    """(colours*s², colours, 1, 1): output channel c*s²+k copies colour c, in the channel order of PixelShuffle."""
    return torch.eye(colours).repeat_interleave(scale * scale, dim=0)[..., None, None]


@torch.no_grad()
def start_first(weight: torch.Tensor) -> None:
    """Fill the kernel (out, in, k, k) of a network's first convolution: edge filters plus some of the pixel itself."""
    middle = weight.shape[-1] // 2
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
    weight[:, :, middle, middle] += 0.5 + 0.5 * torch.rand(weight.shape[0], weight.shape[1])


@torch.no_grad()
def start_middle(weight: torch.Tensor, groups: int = 1, noise: float = 0.3) -> None:
    """Fill a kernel (out, in/groups, k, k) with the identity, and ``noise`` of the usual random start."""
    nn.init.dirac_(weight, groups)
    weight += noise * nn.init.kaiming_normal_(torch.empty_like(weight), nonlinearity="relu")


def start_tail(weight: torch.Tensor) -> None:
    """Fill the kernel of a network's last convolution, to which an enlarged image is added, with almost nothing."""
    nn.init.normal_(weight, std=1e-3)


def zero_biases(network: nn.Module) -> None:
    """Set the biases of all convolutions to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
