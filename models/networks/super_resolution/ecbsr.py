"""ECBSR: plain convolutions that learn with edge filters beside them (ACM MM 2021, doi 10.1145/3474085.3475291).

    image ─┬─ block 3-24 ─ 7 × block 24-24 (ReLU after each) ─ block 24-3s² ─┐
           └─ nearest convolution ─────────────────────────────────────── add ─ PixelShuffle ─ clip

A block is an ``EdgeConv`` while the network learns and a 3x3 convolution when it is exported (``deploy``). In the
authors' notation this is M7C24. Differences: all three colors rather than luma; ReLU rather than PReLU, which
int8 kernels compute more slowly or not at all (XNNPACK has none); with the colors, what they add to every
channel, the image, becomes nearest-neighbor upsampling by a frozen 1x1 convolution.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.edge import EdgeConv
from clearport.models.layers.plain import nearest_kernel, start_first, start_middle, start_tail

_WIDTH = 24
_MIDDLE = 7
_WHITE = 255.0


class ECBSR(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255.

    42,987 parameters at x3 when deployed. In training mode the output is not clipped.
    """

    nearest: torch.Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        widths = [3, *[_WIDTH] * (_MIDDLE + 1), 3 * scale * scale]
        self.blocks = nn.ModuleList(EdgeConv(a, b, _WHITE) for a, b in pairwise(widths))
        self.upsample = nn.PixelShuffle(scale)
        self.register_buffer("nearest", nearest_kernel(scale), persistent=False)
        first, *middle, last = [block.direct for block in self.blocks if isinstance(block, EdgeConv)]
        start_first(first)
        for kernel in middle:
            start_middle(kernel)
        start_tail(last)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = image
        for block in self.blocks[:-1]:
            features = F.relu(block(features))
        restored: torch.Tensor = self.upsample(self.blocks[-1](features) + F.conv2d(image, self.nearest))
        return restored if self.training else restored.clamp(0.0, _WHITE)

    def deploy(self) -> ECBSR:
        """The same network with plain convolutions, in eval mode; this one is not changed."""
        plain = ECBSR(self.scale)
        plain.blocks = nn.ModuleList(block.deploy() for block in self.blocks if isinstance(block, EdgeConv))
        return plain.to(self.nearest).eval()


def build(scale: int) -> ECBSR:
    """ECBSR for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return ECBSR(scale).eval()


SPEC = ModelSpec(
    name="ecbsr",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=_MIDDLE + 2,  # one pixel for each block
    paper=Paper(
        "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices", "10.1145/3474085.3475291"
    ),
    recipe={"lr": 2e-3},  # a step moves all branches, so that kernels move further than plain ones would
)
