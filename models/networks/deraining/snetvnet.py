"""SNet, VNet and ANet: rain streaks and vapors as transmission medium (arXiv 2008.00823).

    image I ─┬─ SNet: encoder ─ 8 ShuffleNet units ─ decoder ─ T_s ──┬──────┐
             ├─ VNet: concat with T_s, spatial pyramid pooling ─ T_v ─ T = T_s T_v ─ (I - A) / T + A ─ clip
             └─ ANet: encoder ─ average ─ light A ────────────────────────────────────┘

What the paper says: streaks are transmission medium, as vapors are, and not a layer that is added; SNet, an encoder and
decoder with ShuffleNet units for the many shapes and directions of streaks, learns the transmission map of streaks;
VNet has spatial pyramid pooling and predicts the vapors' map in several scales from that of the streaks; ANet, an
encoder, estimates the atmospheric light; all three are trained together and give the picture by the model of rain.

What it leaves open, and what was chosen here:

- How the two media act together: light passes both, so their transmissions are multiplied. (The authors' script for
  evaluation combines them as a sum with constants set by hand.) T is at least 0.1.
- T_s and T_v are learned and computed as opacities 1/T - 1 (see ``layers.scattering``): the same model,
  without a division.
- T_s has three channels (a gray streak covers a dark color more than a bright one), T_v has one: vapor is gray.
- VNet reads the picture beside T_s, since streaks alone do not tell how dense the vapor is. It works at half the
  resolution with windows of 4 and 8 pixels, and its map is upsampled: vapor has no sharp edges. The loss
  ``transmission`` teaches it the vapors of synthetic rain.
- Widths, and no normalization: batches are small, and the units start near the identity.
- ANet ends in an average, so that any picture size fits. A is in 1..1.5: it must be brighter than the streaks.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.derain import Down, start, start_at
from clearport.models.layers.pyramid import SpatialPyramid
from clearport.models.layers.scattering import LightNet, scene, transmission
from clearport.models.layers.shuffle import ShuffleEncoderDecoder
from clearport.models.training.outputs import Restored

_VAPOR_WIDTH = 16


class _VNet(nn.Module):
    """Streaks' opacity and image, each (B, 3, H, W), to the vapors' opacity (B, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = Down(6, _VAPOR_WIDTH)
        self.mix = nn.Conv2d(_VAPOR_WIDTH, _VAPOR_WIDTH, 3, padding=1)
        self.pyramid = SpatialPyramid(_VAPOR_WIDTH, 8, windows=(2, 4))
        self.tail = nn.Conv2d(self.pyramid.channels, 1, 3, padding=1)

    def forward(self, streaks: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        features = F.relu(self.mix(self.down(torch.cat((streaks, image), dim=1))))
        opacity = self.tail(self.pyramid(features))
        return F.interpolate(opacity, scale_factor=2.0, mode="bilinear", align_corners=False)


class SNetVNet(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1, H and W multiples of 8, to the same without rain. 106,195 parameters.

    In training mode it gives ``Restored`` with the maps ``streak_transmission`` (B, 3, H, W), ``transmission``
    (B, 1, H, W; of the vapors) and ``light`` (B, 3, 1, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.snet = ShuffleEncoderDecoder(width=18, units=8, groups=3, outputs=3)
        self.vnet = _VNet()
        self.anet = LightNet((12, 24, 36, 48))
        start(self)
        for tail in (self.snet.tail, self.vnet.tail, self.anet.tail):
            start_at(tail, 0.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        streaks = self.snet(image)
        vapors = self.vnet(streaks, image)
        light = self.anet(image)
        both = streaks + vapors + streaks * vapors  # of opacities 1/T - 1, where the transmissions are multiplied
        restored = scene(image, both, light)
        if not self.training:
            return restored.clamp(0.0, 1.0)
        maps = {"streak_transmission": transmission(streaks), "transmission": transmission(vapors), "light": light}
        return Restored(restored, maps=maps)


def build(scale: int) -> SNetVNet:
    """The three networks in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return SNetVNet().eval()


SPEC = ModelSpec(
    name="snetvnet",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=8,
    halo=48,  # the maps reach 69 pixels far, mostly with little weight; the light looks at the whole picture
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper("Rethinking Image Deraining via Rain Streaks and Vapors", "2008.00823"),
    recipe={"degradation": "rain", "loss": "l1 + 0.2*ssim + 0.1*transmission", "patch": 64, "batch": 8},
)
