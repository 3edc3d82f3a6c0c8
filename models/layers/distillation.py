"""Feature distillation of RFDN and BSRN: half of the channels are set aside at each of three steps, the rest continues.

features ─┬─ conv + input, activation ─┬─ conv + input, activation ─┬─ conv + input, activation ─ conv ─┐
          └─ 1x1 ───────────┐          └─ 1x1 ───────────┐          └─ 1x1 ───────────┐                 │
                            └────────────────────────────┴────────────────────────────┴── concat ───────┘
                                                                                     1x1 ─ spatial attention
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.models.layers.esa import ESA, Activation, Conv, conv3


class Distillation(nn.Module):
    """(B, C, H, W) to the same.

    Args:
        width: channels.
        activation: after each step.
        conv: makes the 3x3 convolutions, including the attention's.
        attention: the activation in the attention.
    """

    def __init__(self, width: int, activation: Activation, conv: Conv = conv3, attention: Activation = F.relu) -> None:
        super().__init__()
        half = width // 2
        self.activation = activation
        self.c1_d, self.c1_r = nn.Conv2d(width, half, 1), conv(width, width)
        self.c2_d, self.c2_r = nn.Conv2d(width, half, 1), conv(width, width)
        self.c3_d, self.c3_r = nn.Conv2d(width, half, 1), conv(width, width)
        self.c4 = conv(width, half)
        self.c5 = nn.Conv2d(4 * half, width, 1)
        self.esa = ESA(width, width // 4, deep=True, conv=conv, activation=attention)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        act = self.activation
        kept1, rest1 = act(self.c1_d(features)), act(self.c1_r(features) + features)
        kept2, rest2 = act(self.c2_d(rest1)), act(self.c2_r(rest1) + rest1)
        kept3, rest3 = act(self.c3_d(rest2)), act(self.c3_r(rest2) + rest2)
        joined = torch.cat((kept1, kept2, kept3, act(self.c4(rest3))), dim=1)
        attended: torch.Tensor = self.esa(self.c5(joined))
        return attended
