"""DDN: a residual network that looks at the detail layer only (Fu et al., CVPR 2017, doi 10.1109/CVPR.2017.186).

    image ─┬─ low pass ─ subtract ─ detail ─ conv 3-16 ─ 12 blocks of 2 conv 16-16 ─ conv 16-3 ─ add ─ clip
           ├───────────────┘                                                                │
           └──────────────────────────────── image ─────────────────────────────────────────┘

As the paper has it: 26 convolutions of 3x3 with 16 channels, batch normalization after each, ReLU, a skip connection
around every pair, and the negative rain layer learned from the high frequencies and added to the image.

What differs, or was chosen here:

- The low pass is a box of 31x31 pixels, from two average poolings. The paper's guided filter (radius 15, epsilon
  1) is nearly this: no variance of a picture in 0..1 reaches far toward 1, so that it hardly keeps an edge.
- Convolutions have no bias, since batch normalization would take it out again (the paper's 57,369 parameters count 403
  of them). Batch normalization is folded into the convolutions at export.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.training.outputs import Restored

_WIDTH = 16
_BLOCKS = 12
_RADIUS = 15
_START = 0.01


class _Normalized(nn.Module):
    """A 3x3 convolution and batch normalization; ``gain`` is what the latter starts with."""

    def __init__(self, before: int, after: int, gain: float = 1.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        nn.init.constant_(self.norm.weight, gain)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        normalized: torch.Tensor = self.norm(self.convolution(features))
        return normalized


class _Block(nn.Module):
    """Two convolutions, each with a ReLU, added to their input: (B, 16, H, W) to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _Normalized(_WIDTH, _WIDTH)
        self.second = _Normalized(_WIDTH, _WIDTH)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + F.relu(self.second(F.relu(self.first(features))))


class DDN(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to the same without rain. 56,966 parameters.

    In training mode it gives ``Restored`` with the map ``rain`` (B, 3, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        side = 2 * _RADIUS + 1
        self.low_pass = nn.Sequential(  # at the border, the mean of those pixels that there are
            nn.AvgPool2d((1, side), 1, (0, _RADIUS), count_include_pad=False),
            nn.AvgPool2d((side, 1), 1, (_RADIUS, 0), count_include_pad=False),
        )
        self.head = _Normalized(3, _WIDTH)
        self.body = nn.Sequential(*(_Block() for _ in range(_BLOCKS)))
        self.tail = _Normalized(_WIDTH, 3, gain=_START)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        detail = image - self.low_pass(image)
        residual: torch.Tensor = self.tail(self.body(F.relu(self.head(detail))))
        restored = image + residual
        return Restored(restored, maps={"rain": -residual}) if self.training else restored.clamp(0.0, 1.0)


def build(scale: int) -> DDN:
    """DDN in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return DDN().eval()


SPEC = ModelSpec(
    name="ddn",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=2 * _BLOCKS + 2 + _RADIUS,  # one pixel for each convolution, and half the box
    value_range=(0.0, 1.0),
    paper=Paper("Removing Rain from Single Images via a Deep Detail Network", "10.1109/CVPR.2017.186"),
    recipe={"degradation": "rain", "loss": "l2", "patch": 64, "batch": 16},
)
