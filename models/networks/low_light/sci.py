"""SCI: self-calibrated illumination, three colors wide (arXiv 2204.10137).

    image ── conv 3-3, ReLU ── + (conv 3-3, batch norm, ReLU) ── conv 3-3, sigmoid ── + image ── clip = illumination
    image / illumination ── clip

Of the cascade that is trained, with a calibration network between the stages, inference uses one stage: 258 parameters.
The illumination is at least the image, so the quotient is in 0..1; as a divisor it stays float in int8 files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.training.outputs import Restored

if TYPE_CHECKING:
    from clearport.models.importers.checkpoint import Source

_DARKEST = 1e-4
_OWN_NAMES = {
    "enhance.in_conv.0": "head",
    "enhance.conv.0": "body",
    "enhance.conv.1": "norm",
    "enhance.out_conv.0": "tail",
}


class Sci(nn.Module):
    """Dark RGB image (B, 3, H, W) float32 in 0..1 to a brighter one.

    In training mode it gives ``Restored`` with the map ``illumination`` (B, 3, H, W) in 0..1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 3, 3, padding=1)
        self.body = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.tail = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        features = F.relu(self.head(image))
        features = features + F.relu(self.norm(self.body(features)))
        illumination = (torch.sigmoid(self.tail(features)) + image).clamp(_DARKEST, 1.0)
        result = image / illumination
        return Restored(result, maps={"illumination": illumination}) if self.training else result.clamp(0.0, 1.0)


def published_state_dict(source: Source, scale: int) -> Mapping[str, torch.Tensor] | None:
    """The authors' weights of the stage in use (``enhance.*``), or None for any other file.

    ``enhance.blocks.0`` repeats ``enhance.conv``, and ``calibrate.*`` is of use in their training only.
    """
    del scale  # it has one
    state = source.tensors
    if state is None or not all(f"{name}.weight" in state for name in (*_OWN_NAMES, "calibrate.out_conv.0")):
        return None
    parts = {key: key.rpartition(".") for key in state}
    return {f"{_OWN_NAMES[part]}.{kind}": state[key] for key, (part, _, kind) in parts.items() if part in _OWN_NAMES}


def build(scale: int) -> Sci:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Sci().eval()


SPEC = ModelSpec(
    name="sci",
    task="low-light",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=3,  # one pixel for each convolution
    value_range=(0.0, 1.0),
    paper=Paper("Toward Fast, Flexible, and Robust Low-Light Image Enhancement", "2204.10137"),
    importers=(published_state_dict,),
    published="github.com/vis-opt-group/SCI: easy.pt, medium.pt, difficult.pt (MIT)",
    recipe={"loss": "l1 + 0.2*ssim", "patch": 128, "batch": 16, "lr": 3e-3},
)
