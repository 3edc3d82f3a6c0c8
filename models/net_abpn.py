"""ABPN: seven plain convolutions that learn what repeated pixels lack (arXiv 2105.09750).

    image ─┬─ conv 3-28 ─ 4 × conv 28-28 ─ conv 28-3s² (3x3, ReLU after each) ─ conv 3s²-3s² ─┐
           └─ anchor: the image repeated s² times ───────────────────────────────────────── add ─ PixelShuffle ─ clip

The anchor followed by PixelShuffle is nearest-neighbour upsampling, so the convolutions learn a residual of small
values, which an int8 network represents well. The authors concatenate s² copies of the image; here a frozen 1x1
convolution makes the same copies, in the channel order of PixelShuffle.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import ModelSpec, Paper
from clearport.models.layers_plain import nearest_kernel, start_first, start_middle, start_tail, zero_biases

_WIDTH = 28
_MIDDLE = 4
_WHITE = 255.0


class ABPN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255.

    42,539 parameters at x3, as the paper says; the anchor's kernel is a buffer and is not among them, nor in the state
    dict. In training mode the output is not clipped, so that no gradient is lost beyond black and white.
    """

    anchor: torch.Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        colours = 3 * scale * scale
        widths = [3, *[_WIDTH] * (_MIDDLE + 1), colours]
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.tail = nn.Conv2d(colours, colours, 3, padding=1)
        self.upsample = nn.PixelShuffle(scale)
        self.register_buffer("anchor", nearest_kernel(scale), persistent=False)
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
        restored: torch.Tensor = self.upsample(self.tail(features) + F.conv2d(image, self.anchor))
        return restored if self.training else restored.clamp(0.0, _WHITE)


def build(scale: int) -> ABPN:
    """ABPN for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return ABPN(scale).eval()


SPEC = ModelSpec(
    name="abpn",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=_MIDDLE + 3,  # one pixel for each 3x3 convolution
    paper=Paper("Anchor-based Plain Net for Mobile Image Super-Resolution", "2105.09750"),
)
