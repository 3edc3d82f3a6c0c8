"""Zero-DCE: brightening by eight curves per pixel and color, learned without references (arXiv 2001.06826).

    image ── conv 3-32 ─ conv ─ conv ─ conv ─┬─ conv 64-32 ─ conv 64-32 ─ conv 64-24 ── tanh ── 8 curve maps
              └───────────│──────┴────────│───┘ (each of the last three also sees its mirror image among the first)
    image ── x + a·(x² - x), eight times ── clip

3x3 kernels with ReLU in between. Training needs no well-lit pictures: the losses enforce spatial consistency, mean
exposure, color constancy, and smooth curves. The license of the authors' weights excludes commercial use, so there is
no importer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.curves import ITERATIONS, brighten
from clearport.models.training.outputs import Restored

_WIDTH = 32


class ZeroDce(nn.Module):
    """Dark RGB image (B, 3, H, W) float32 in 0..1 to a brighter one; 79,416 parameters.

    In training mode it gives ``Restored`` with the map ``curves`` (B, 24, H, W) in -1..1.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, _WIDTH, _WIDTH, _WIDTH, 2 * _WIDTH, 2 * _WIDTH, 2 * _WIDTH)
        outputs = (*[_WIDTH] * 6, 3 * ITERATIONS)
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(inputs, outputs, strict=True))
        for convolution in self.body:
            assert isinstance(convolution, nn.Conv2d)
            start(convolution)

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        curves = symmetric(self.body, image)
        result = brighten(image, curves.chunk(ITERATIONS, dim=1))
        return Restored(result, maps={"curves": curves}) if self.training else result.clamp(0.0, 1.0)


def symmetric(body: nn.ModuleList, image: torch.Tensor) -> torch.Tensor:
    """Curve maps in -1..1 of seven layers, of which the last three also have the third, second or first as input."""
    first, second, third, fourth, fifth, sixth, seventh = body
    a = F.relu(first(image))
    b = F.relu(second(a))
    c = F.relu(third(b))
    d = F.relu(fourth(c))
    e = F.relu(fifth(torch.cat((c, d), dim=1)))
    f = F.relu(sixth(torch.cat((b, e), dim=1)))
    return torch.tanh(seventh(torch.cat((a, f), dim=1)))


def start(convolution: nn.Conv2d) -> None:
    """The paper's start, N(0, 0.02²): all curves are nearly straight, so the network begins as the identity."""
    assert convolution.bias is not None
    nn.init.normal_(convolution.weight, std=0.02)
    nn.init.zeros_(convolution.bias)


def build(scale: int) -> ZeroDce:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return ZeroDce().eval()


SPEC = ModelSpec(
    name="zerodce",
    task="low-light",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=7,  # one pixel for each convolution
    value_range=(0.0, 1.0),
    paper=Paper("Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", "2001.06826"),
    license="CC-BY-NC-4.0",  # the license of SICE, on which the bundled weights were trained
    recipe={  # the weights of the authors' training, and a shorter one: 10 times their rate, smaller crops
        "degradation": "unpaired",
        "loss": "spatial + 10*exposure + 5*color + 1600*smooth-curves",
        "patch": 128,
        "batch": 4,
        "lr": 1e-3,
        "optimizer": "adam",
    },
)
