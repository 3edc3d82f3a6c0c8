"""The edge-oriented convolution block: five linear branches that are one 3x3 convolution (ECBSR, ACM MM 2021).

The branches of Zhang, Zeng and Zhang, "Edge-oriented Convolution Block for Real-time Super Resolution on Mobile
Devices" (doi 10.1145/3474085.3475291), which has no arXiv number:

1. a plain 3x3 convolution;
2. a 1x1 convolution that expands, and a 3x3 one that squeezes;
3. to 5. a 1x1 convolution, followed by a learned multiple of the Sobel filter in x, of that in y, of the Laplacian.

All of it is linear, so the sum is formed in weight space and one convolution runs per step, in training as well. What
is outside the picture is zero before the 1x1 convolutions, hence their bias after them: the sum is then exact up to the
last pixel of the border, and the bias of a 1x1 acts like one more bias of the whole block.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_EXPANSION = 2
_EXPAND_STD = 1.0
_FILTERS = (
    ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0)),
    ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0)),
    ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0)),
)


class EdgeConv(nn.Module):
    """(B, in, H, W) to (B, out, H, W), both of any range; zero padding of one pixel.

    ``bias_unit`` is the value of a bias parameter of 1: optimizers that are invariant to the scale of gradients need
    biases in units of pixels (see ``training.widen``). ``in_bfloat16`` is set by the trainer. The direct branch is
    initialized like ``nn.Conv2d``, the others with no effect.
    """

    in_bfloat16 = False
    filters: torch.Tensor

    def __init__(self, inputs: int, outputs: int, bias_unit: float) -> None:
        super().__init__()
        width, edges = _EXPANSION * outputs, len(_FILTERS)
        self.bias_unit = bias_unit
        self.direct = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.expand = nn.Parameter(torch.empty(width, inputs))
        self.expand_bias = nn.Parameter(torch.zeros(width))
        self.squeeze = nn.Parameter(torch.zeros(width, outputs, 3, 3))
        self.edge_mix = nn.Parameter(torch.empty(edges * outputs, inputs))
        self.edge_mix_bias = nn.Parameter(torch.zeros(edges * outputs))
        self.edge_gain = nn.Parameter(torch.zeros(edges * outputs))
        self.register_buffer("filters", torch.tensor(_FILTERS), persistent=False)
        nn.init.kaiming_normal_(self.direct, nonlinearity="linear")
        nn.init.normal_(self.expand, std=_EXPAND_STD / width)
        nn.init.kaiming_normal_(self.edge_mix, nonlinearity="linear")

    def collapsed(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The kernel (out, in, 3, 3) and bias (out,) of the convolution equivalent to all branches."""
        outputs, inputs = self.direct.shape[:2]
        squeezed = self.expand.T @ self.squeeze.flatten(1)  # (in, out*3*3)
        kernel = self.direct + squeezed.view(inputs, outputs, 3, 3).transpose(0, 1)
        edges = self.edge_gain.view(-1, outputs)[..., None, None] * self.filters[:, None]  # (filters, out, 3, 3)
        mixed = self.edge_mix.view(-1, outputs, inputs, 1, 1) * edges[:, :, None]
        kernel = kernel + mixed.sum(dim=0)
        bias = self.bias + self.expand_bias @ self.squeeze.sum(dim=(2, 3))
        bias = bias + (self.edge_mix_bias.view(-1, outputs) * edges.sum(dim=(2, 3))).sum(dim=0)
        return kernel, bias * self.bias_unit

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        kernel, bias = self.collapsed()
        if self.in_bfloat16:
            features, kernel, bias = features.bfloat16(), kernel.bfloat16(), bias.bfloat16()
        return F.conv2d(features, kernel, bias, padding=1)

    @torch.no_grad()
    def deploy(self) -> nn.Conv2d:
        """The equivalent plain convolution."""
        kernel, bias = self.collapsed()
        plain = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
        plain.weight.copy_(kernel)
        plain.bias.copy_(bias)  # type: ignore[union-attr]
        return plain.to(kernel)
