"""Deraining by transmission and atmospheric light (arXiv 1906.09433).

    image I ─┬─ A-net: a triangle of convolutions ─ light A ──────────────────────┐
             ├─ T-net: encoder ─ 6 ShuffleNet units ─ decoder ─ opacity 1/T - 1 ─ I + (I - A) (1/T - 1) ─ clip
             └──────────────────────────────────────────────────────────────────────┘

What the paper says: rain is modeled by the image degradation model I = T J + (1 - T) A; a triangle-shaped network
learns the atmospheric light of every picture and is tuned further while the transmission network is trained; the
transmission network is made of ShuffleNet units; the picture without rain follows from the model.

What it leaves open, and what was chosen here:

- T has three channels: a gray streak covers a dark color more than a bright one, which one channel cannot say.
- The T-net gives 1/T - 1 (see ``layers.scattering``): the same model, without a division. T is at least 0.1.
- The T-net is an encoder and decoder of three resolutions (18, 36 and 72 channels, 3 groups) with skip connections
  that are added. There is no normalization: batches are small, and the units start near the identity.
- The triangle ends in an average instead of a fully connected layer, so that any picture size fits. A is in 1..1.5:
  it must be brighter than the streaks.
- Both networks are trained together from the start, by the restored picture. The paper estimates a light for every
  training picture, teaches it to the A-net and tunes that further with the T-net.
"""

from __future__ import annotations

import torch
from torch import nn

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.derain import start, start_at
from clearport.models.layers.scattering import LightNet, scene, transmission
from clearport.models.layers.shuffle import ShuffleEncoderDecoder
from clearport.models.training.outputs import Restored


class TransmissionNet(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1, H and W multiples of 4, to the same without rain. 119,418 parameters.

    In training mode it gives ``Restored`` with the maps ``transmission`` (B, 3, H, W) and ``light`` (B, 3, 1, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.light = LightNet((8, 16, 32, 48, 64))
        self.opacity = ShuffleEncoderDecoder(width=18, units=6, groups=3, outputs=3)
        start(self)
        start_at(self.light.tail, 0.0)
        start_at(self.opacity.tail, 0.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        light, opacity = self.light(image), self.opacity(image)
        restored = scene(image, opacity, light)
        if not self.training:
            return restored.clamp(0.0, 1.0)
        return Restored(restored, maps={"transmission": transmission(opacity), "light": light})


def build(scale: int) -> TransmissionNet:
    """The network in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return TransmissionNet().eval()


SPEC = ModelSpec(
    name="transmission",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=4,
    halo=38,  # so far reaches the transmission; the light looks at the whole picture
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper(
        "Deep Single Image Deraining via Estimating Transmission and Atmospheric Light in Rainy Scenes", "1906.09433"
    ),
    recipe={"degradation": "rain", "loss": "l1 + 0.2*ssim", "patch": 64, "batch": 8},
)
