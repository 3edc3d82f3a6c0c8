"""Two branches for heavy rain: streaks and haze, with an adjustable strength of dehazing (arXiv 1905.05404).

    image ─┬─ localization: where rain is ─ sigmoid ─ mask ─┐
           ├─ streak branch ─────────────────────────────── multiply ─ S ─┐
           ├─ haze branch ─ transmission T, light A ──────────────────────┴─ (I - S - A) / T + A ─ refine (SPP) ─ clip

What the paper says: heavy rain is streaks, and a haze that tiny drops accumulate to; a new model of rain has both; a
network of two branches learns the model's parameters; a structure with spatial pyramid pooling is trained with it,
refines the result, and makes the degree of haze removal adjustable; a subnetwork that localises rainy pixels guides
the training.

What it leaves open, and what was chosen here:

- The model: I = T J + (1 - T) A + S. Streaks are near and lie on top of the haze, so S is added.
- The strength (``dehaze``, 0..1): the picture is dehazed and refined in full, and the share of haze that is to
  stay is laid over it again: J (1 - k (1 - T)) + k (1 - T) A with k = 1 - dehaze. So 0 removes streaks only, and
  every strength rests on maps that full dehazing has trained. It is constant at export, and 1 costs nothing.
- The mask is multiplied with the streak layer, so it is used when restoring too, and the loss of the picture alone can
  train it; ``maps["rain_mask"]`` lets a loss teach it where rain is.
- S may have either sign: with a ReLU, pixels at zero would have no gradient.
- T is estimated at a quarter of the resolution and upsampled: haze has no sharp edges. It is at least 0.1, and learned
  and computed as opacity 1/T - 1 (see ``layers.scattering``): the same model, without a division.
- The losses on the mask, T and A (see ``recipe``) use that synthetic rain knows them. Widths; no normalization, because
  batches are small.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import Knob, ModelSpec, Paper
from clearport.models.layers.derain import Down, ResidualBlock, start, start_at
from clearport.models.layers.pyramid import SpatialPyramid
from clearport.models.layers.scattering import scene, transmission
from clearport.models.training.outputs import Restored

_STREAK_WIDTH, _HAZE_WIDTH, _MASK_WIDTH, _REFINE_WIDTH = 24, 24, 12, 12
_BRIGHT = 2.0  # logits of a light of 0.88
_DEHAZE = Knob(1.0, 0.0, 1.0, "how much of the haze is removed: 0 removes rain streaks only, 1 all haze as well")


class _HazeBranch(nn.Module):
    """Image (B, 3, H, W) to opacity (B, 1, H, W) and light (B, 3, 1, 1; in 0..1)."""

    def __init__(self) -> None:
        super().__init__()
        down = Down(3, _HAZE_WIDTH), Down(_HAZE_WIDTH, _HAZE_WIDTH)
        self.body = nn.Sequential(*down, ResidualBlock(_HAZE_WIDTH), ResidualBlock(_HAZE_WIDTH))
        self.opacity = nn.Conv2d(_HAZE_WIDTH, 1, 3, padding=1)
        self.light = nn.Conv2d(_HAZE_WIDTH, 3, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(image)  # (B, 24, H/4, W/4)
        opacity = F.interpolate(self.opacity(features), scale_factor=4.0, mode="bilinear", align_corners=False)
        return opacity, torch.sigmoid(self.light(features.mean(dim=(2, 3), keepdim=True)))


class _Refinement(nn.Module):
    """What to add to a derained picture: (B, 6, H, W), that picture and the rainy one, to (B, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(6, _REFINE_WIDTH, 3, padding=1)
        self.pyramid = SpatialPyramid(_REFINE_WIDTH, 6, windows=(2, 4, 8))
        self.tail = nn.Conv2d(self.pyramid.channels, 3, 3, padding=1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        correction: torch.Tensor = self.tail(self.pyramid(F.relu(self.head(pictures))))
        return correction


class HeavyRain(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1, H and W multiples of 8, to the same without rain. 79,103 parameters.

    In training mode it gives ``Restored`` with the maps ``rain`` (B, 3, H, W; the streaks), ``rain_mask``
    (B, 1, H, W), ``transmission`` (B, 1, H, W; of the haze) and ``light`` (B, 3, 1, 1).

    Attributes:
        dehaze: how much of the haze is removed, 0..1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dehaze = _DEHAZE.default
        self.localization = nn.Sequential(
            nn.Conv2d(3, _MASK_WIDTH, 3, padding=1),
            nn.ReLU(),
            *(ResidualBlock(_MASK_WIDTH, dilation) for dilation in (1, 2)),
            nn.Conv2d(_MASK_WIDTH, 1, 3, padding=1),
        )
        self.streaks = nn.Sequential(
            nn.Conv2d(3, _STREAK_WIDTH, 3, padding=1),
            nn.ReLU(),
            *(ResidualBlock(_STREAK_WIDTH, dilation) for dilation in (1, 2, 4, 1)),
            nn.Conv2d(_STREAK_WIDTH, 3, 3, padding=1),
        )
        self.haze = _HazeBranch()
        self.refinement = _Refinement()
        self._start()

    def _start(self) -> None:
        start(self)
        streaks = self.streaks[-1]
        assert isinstance(streaks, nn.Conv2d)
        for convolution, level in (
            (streaks, 0.0),
            (self.refinement.tail, 0.0),
            (self.haze.opacity, 0.0),
            (self.haze.light, _BRIGHT),
        ):
            start_at(convolution, level)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        mask = torch.sigmoid(self.localization(image))
        streaks = mask * self.streaks(image)
        opacity, light = self.haze(image)
        derained = scene(image - streaks, opacity, light)
        restored: torch.Tensor = derained + self.refinement(torch.cat((derained, image), dim=1))
        if self.dehaze < 1.0:
            staying = (1.0 - self.dehaze) * (1.0 - transmission(opacity))
            restored = restored * (1.0 - staying) + staying * light
        if not self.training:
            return restored.clamp(0.0, 1.0)
        maps = {"rain": streaks, "rain_mask": mask, "transmission": transmission(opacity), "light": light}
        return Restored(restored, maps=maps)


def build(scale: int) -> HeavyRain:
    """The network in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return HeavyRain().eval()


SPEC = ModelSpec(
    name="heavyrain",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=8,
    halo=52,  # so far reach the haze branch and the refinement together; the light looks at the whole picture
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper("An Effective Two-Branch Model-Based Deep Network for Single Image Deraining", "1905.05404"),
    recipe={
        "degradation": "rain",
        "loss": "l1 + 0.2*ssim + 0.05*mask + 0.1*transmission + 0.1*light",
        "patch": 64,
        "batch": 8,
    },
    knobs={"dehaze": _DEHAZE},
)
