"""NCNet: super resolution by seven plain convolutions and a nearest convolution (arXiv 2208.11609).

    image ─┬─ conv 3-32 ─ 4 × conv 32-32 ─ conv 32-3s² (3x3, ReLU after each) ─ conv 3s²-3s² ─┐
           └─ nearest convolution: frozen 1x1 kernel that repeats each colour s² times ────── add ─ PixelShuffle ─ clip

The nearest convolution followed by PixelShuffle is nearest-neighbour upsampling, so the body learns what
is missing to it; on NPUs it is several times faster than a resize operator.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import ModelSpec, Paper
from clearport.models.import_ncnet import published_state_dict, published_tflite
from clearport.models.layers_plain import nearest_kernel, start_first, start_middle, start_tail, zero_biases

_WIDTH = 32
_MIDDLE = 4
_WHITE = 255.0


class NCNet(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..255 to (B, 3, H*scale, W*scale) in 0..255.

    52,279 parameters at x3; the kernel of the nearest convolution is a buffer and is not among them, nor in the
    state dict. In training mode the output is not clipped, so that no gradient is lost beyond black and white.
    """

    nearest: torch.Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        colours = 3 * scale * scale
        widths = [3, *[_WIDTH] * (_MIDDLE + 1), colours]
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.tail = nn.Conv2d(colours, colours, 3, padding=1)
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


def build(scale: int) -> NCNet:
    """NCNet for ``scale`` in eval mode, with fresh weights from torch's global generator."""
    return NCNet(scale).eval()


SPEC = ModelSpec(
    name="ncnet",
    task="super-resolution",
    build=build,
    scales=(2, 3, 4),
    default_scale=3,
    halo=_MIDDLE + 3,  # one pixel for each 3x3 convolution: the first, the middle ones, the last of the body, the tail
    paper=Paper("Fast Nearest Convolution for Real-Time Efficient Image Super-Resolution", "2208.11609"),
    importers=(published_state_dict, published_tflite),
    recommended=True,
)
