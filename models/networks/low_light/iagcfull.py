"""IAGC, the full form: learned gamma, coarse to fine, with local-to-global attention (arXiv 2308.08220).

    image ── coarse γ of the picture ── power ── strided convolutions to 1/4 ── 2 × local-to-global attention ─┐
          ┌─ convolutions, enlarged, with skips from 1/2 and 1/1 ──────────────────────────────────────────────┘
          ├─ fine γ per pixel and color ── power of the image ─┬─ add ── clip
          └─ residual ──────────────────────────────────────────┘

The abstract fixes the parts: gamma by Taylor series (see ``layers.gamma``), found coarse first and then in detail, and
attention that reaches all pixels (see ``layers.hierarchy``). Chosen here: one coarse γ as in the mobile form, a U-Net
around the attention, three colors of fine γ, and a residual for what a gamma cannot do. Attention has softmax and
layer normalization, so int8 is not what it is made for: the mobile form, ``iagc``, is.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.gamma import TaylorGamma
from clearport.models.layers.hierarchy import LocalToGlobal
from clearport.models.networks.low_light.iagc import Coarse
from clearport.models.training.outputs import Restored

_WIDTH = 16
_BLOCKS = 2
_HEADS = 4


class IagcFull(nn.Module):
    """Dark RGB image (B, 3, H, W) float32 in 0..1, H and W multiples of 8, to a well-lit one.

    In training mode it gives ``Restored`` with the coarsely corrected picture as auxiliary picture and the map
    ``gamma`` (B, 3, H, W); the image is not clipped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.power = TaylorGamma()
        self.coarse = Coarse()
        self.head = nn.Conv2d(6, _WIDTH, 3, padding=1)
        self.down1 = nn.Conv2d(_WIDTH, 2 * _WIDTH, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * _WIDTH, 4 * _WIDTH, 3, stride=2, padding=1)
        self.attention = nn.ModuleList(LocalToGlobal(4 * _WIDTH, _HEADS) for _ in range(_BLOCKS))
        self.up1 = nn.Conv2d(4 * _WIDTH, 2 * _WIDTH, 3, padding=1)
        self.up2 = nn.Conv2d(2 * _WIDTH, _WIDTH, 3, padding=1)
        self.gamma, self.residual = (nn.Conv2d(_WIDTH, 3, 3, padding=1) for _ in range(2))
        for convolution in (self.gamma, self.residual):
            assert convolution.bias is not None
            nn.init.zeros_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        coarse = self.coarse(F.avg_pool2d(image, 4))
        corrected = self.power(image, coarse)
        features = self.features(torch.cat((corrected, image), dim=1))
        gamma = coarse * (0.4 + 1.2 * torch.sigmoid(self.gamma(features)))
        result: torch.Tensor = self.power(image, gamma) + self.residual(features)
        if self.training:
            return Restored(result, (corrected,), {"gamma": gamma})
        return result.clamp(0.0, 1.0)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """The pictures before and after the coarse correction, (B, 6, H, W), to features (B, 16, H, W)."""
        whole = F.relu(self.head(images))
        half = F.relu(self.down1(whole))
        quarter = F.relu(self.down2(half))
        for block in self.attention:
            quarter = block(quarter)
        half = half + F.interpolate(F.relu(self.up1(quarter)), scale_factor=2, mode="bilinear")
        return whole + F.interpolate(F.relu(self.up2(half)), scale_factor=2, mode="bilinear")


def build(scale: int) -> IagcFull:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return IagcFull().eval()


SPEC = ModelSpec(
    name="iagcfull",
    task="low-light",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=8,
    halo=64,  # attention reaches everything; this is two windows
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper("Low-Light Image Enhancement with Illumination-Aware Gamma Correction", "2308.08220"),
    recipe={"loss": "l1 + 0.2*ssim", "patch": 256, "batch": 8, "lr": 1e-3},
)
