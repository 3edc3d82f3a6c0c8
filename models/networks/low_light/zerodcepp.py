"""Zero-DCE++: one curve per pixel and color, found in a small copy of the picture (arXiv 2103.00860).

As Zero-DCE, with depthwise separable convolutions, one curve map for all eight iterations, and the network at an
eighth of the picture's height and width: its curves are smooth, so little is lost by enlarging them. The paper reduces
by 12; sides of usual pictures are multiples of 8. The authors' own weights are not for commercial use, so there is no
importer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.curves import ITERATIONS, brighten
from clearport.models.networks.low_light.zerodce import start, symmetric
from clearport.models.training.outputs import Restored

_WIDTH = 32
_REDUCTION = 8


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution: (B, inputs, h, w) to (B, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        start(self.depthwise)
        start(self.pointwise)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.pointwise(self.depthwise(features))
        return mixed


class ZeroDcePlus(nn.Module):
    """Dark RGB image (B, 3, H, W) float32 in 0..1, H and W multiples of 8, to a brighter one; 10,561 parameters.

    In training mode it gives ``Restored`` with the map ``curves`` (B, 3, H, W) in -1..1.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, _WIDTH, _WIDTH, _WIDTH, 2 * _WIDTH, 2 * _WIDTH, 2 * _WIDTH)
        outputs = (*[_WIDTH] * 6, 3)
        self.body = nn.ModuleList(Separable(a, b) for a, b in zip(inputs, outputs, strict=True))

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        small = F.avg_pool2d(image, _REDUCTION)
        curves = F.interpolate(symmetric(self.body, small), scale_factor=_REDUCTION, mode="bilinear")
        result = brighten(image, [curves] * ITERATIONS)
        return Restored(result, maps={"curves": curves}) if self.training else result.clamp(0.0, 1.0)


def build(scale: int) -> ZeroDcePlus:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return ZeroDcePlus().eval()


SPEC = ModelSpec(
    name="zerodcepp",
    task="low-light",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=_REDUCTION,
    halo=64,  # seven convolutions and the enlargement: eight steps at an eighth of the size
    value_range=(0.0, 1.0),
    paper=Paper("Learning to Enhance Low-Light Image via Zero-Reference Deep Curve Estimation", "2103.00860"),
    recipe={
        "degradation": "unpaired",
        "loss": "spatial + 10*exposure + 5*color + 1600*smooth-curves",
        "patch": 256,
        "batch": 8,
        "lr": 2e-3,
        "optimizer": "adam",
    },
)
