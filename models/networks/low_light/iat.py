"""IAT: illumination-adaptive transformer (arXiv 2205.14871).

    image ── conv 3-16, leaky ReLU ─┬─ 3 blocks ── + ── conv 16-3, ReLU = what to multiply by
                                    └─ 3 blocks ── + ── conv 16-3, tanh = what to add
    image ── 2 strided convolutions ── tokens ── attention of 10 learned queries ── γ, 3x3 color matrix
    ((image · multiply + add) · color matrix) ── clip ── ^γ

The ten queries attend to all tokens, a quarter of the picture's height by a quarter of its width. The softmax over
them, the power and the normalization of the tokens stay float in int8 files.

``deploy`` merges linear operations: channel mixings and layer scales into adjacent convolutions, the shortcut around a
depthwise convolution into its center tap, and products of weights in the attention.
"""

from __future__ import annotations

import torch
from torch import nn

from clearport.model_spec import ModelSpec, Paper
from clearport.models.importers.iat import published_state_dict
from clearport.models.layers.iat import Local, LocalBlock
from clearport.models.layers.iat_global import Global
from clearport.models.training.outputs import Restored

_BLOCKS = 3
_DARKEST = 1e-8  # a power of zero has no gradient


class Iat(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1, too dark or too bright, to a well-lit one.

    91,154 parameters, and 91,348 numbers in its state dict, as in the published files (those of batch norm are more).
    In training mode it gives ``Restored`` with the maps ``gamma`` (B, 1, 1, 1) and ``color`` (B, 3, 3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.local = Local([LocalBlock() for _ in range(2 * _BLOCKS)])
        self.whole = Global()

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        multiply, add = self.local(image)
        gamma, color = self.whole(image)
        mixed = color @ (image * multiply + add).flatten(2)
        result = mixed.view_as(image).clamp(_DARKEST, 1.0) ** gamma
        return Restored(result, maps={"gamma": gamma, "color": color}) if self.training else result.clamp(0.0, 1.0)

    def deploy(self) -> Iat:
        """The plain form that is exported."""
        plain = Iat()
        plain.local, plain.whole = self.local.deploy(), self.whole.deploy()
        return plain.eval()


def build(scale: int) -> Iat:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Iat().eval()


SPEC = ModelSpec(
    name="iat",
    task="low-light",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=11,  # of the local branch: a convolution, three blocks of 1 and 2, a convolution
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper("You Only Need 90K Parameters to Adapt Light: A Light Weight Transformer", "2205.14871"),
    importers=(published_state_dict,),
    published="github.com/cuiziteng/Illumination-Adaptive-Transformer: LOL-v1 and exposure correction (Apache-2.0)",
    recipe={"loss": "l1 + 0.2*ssim", "patch": 128, "batch": 8, "lr": 1e-3},
)
