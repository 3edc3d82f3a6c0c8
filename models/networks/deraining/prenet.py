"""PReNet: PRN with a convolutional LSTM that carries features from stage to stage (arXiv 1901.09221).

    image ─────────────┬─ concat ─ conv 6-32 ─ LSTM ─ 5 residual blocks ─ conv 32-3 ─ add image ─ picture of t ─ clip
    picture of t - 1 ──┘ (at first the image)                                          (6 stages t, same weights)

As the paper has it: 32 channels, 6 stages with the same weights, no normalization, plain residual blocks (the variant
PReNet_r, which repeats one block five times, is not built here). Trained with the negative SSIM of the last
stage, in RGB 0..1.

The LSTM's state is zero before the first stage. That stage takes only the part of its kernels that reads the
picture's features, and leaves the forget gate out, which would be multiplied by zero: the same numbers from fewer
operators, and no tensor of zeros whose size would have to be computed.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec
from clearport.models.layers.progressive import PAPER, PUBLISHED, STAGES, WIDTH, Progressive, convolution
from clearport.models.training.outputs import Restored


class PReNet(Progressive):
    """RGB image (B, 3, H, W) float32 in 0..1 to the same without rain. 168,963 parameters.

    In training mode it gives ``Restored`` with the pictures of the earlier stages, (B, 3, H, W) each, as auxiliary.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_i = nn.Sequential(convolution(2 * WIDTH), nn.Sigmoid())
        self.conv_f = nn.Sequential(convolution(2 * WIDTH), nn.Sigmoid())
        self.conv_g = nn.Sequential(convolution(2 * WIDTH), nn.Tanh())
        self.conv_o = nn.Sequential(convolution(2 * WIDTH), nn.Sigmoid())
        self.start()

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        hidden, cell = self._first(self.look(image, image))
        pictures = [self.derain(image, hidden)]
        for _ in range(STAGES - 1):
            hidden, cell = self._next(self.look(image, pictures[-1]), hidden, cell)
            pictures.append(self.derain(image, hidden))
        if self.training:
            return Restored(pictures[-1], auxiliary=tuple(pictures[:-1]))
        return pictures[-1].clamp(0.0, 1.0)

    def _first(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden state and cell, (B, 32, H, W) each, after the first stage."""
        cell = _without_state(self.conv_i, features) * _without_state(self.conv_g, features)
        return _without_state(self.conv_o, features) * torch.tanh(cell), cell

    def _next(
        self, features: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden state and cell after a later stage."""
        both = torch.cat((features, hidden), dim=1)
        cell = self.conv_f(both) * cell + self.conv_i(both) * self.conv_g(both)
        return self.conv_o(both) * torch.tanh(cell), cell


def _without_state(gate: nn.Sequential, features: torch.Tensor) -> torch.Tensor:
    """The gate's value where the hidden state is zero."""
    kernel, activation = gate
    assert isinstance(kernel, nn.Conv2d)
    value: torch.Tensor = activation(F.conv2d(features, kernel.weight[:, :WIDTH], kernel.bias, padding=1))
    return value


def build(scale: int) -> PReNet:
    """PReNet in eval mode, with fresh weights from torch's global generator; ``scale`` is 1."""
    del scale
    return PReNet().eval()


SPEC = ModelSpec(
    name="prenet",
    task="deraining",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=39,  # six stages of 13 convolutions reach 78 pixels far; what lies beyond half of it weighs next to nothing
    value_range=(0.0, 1.0),
    paper=PAPER,
    published=PUBLISHED,
    recipe={"degradation": "rain", "loss": "ssim", "lr": 1e-3, "patch": 48, "batch": 4},
)
