"""E2Style's encoder (arXiv 2104.07661): the first three stages of IR-SE-50, and a head behind each.

    picture ── 3x3 ── 3 blocks ── 4 blocks ── 14 blocks
                         └ head      └ head      └ head      codes of the finest, the middle, the coarsest styles

A block is batch norm, 3x3, PReLU, 3x3 (the first of a stage with stride 2), batch norm and squeeze and excitation,
beside a skip. Published, the stages are 64, 128 and 256 wide, and a head is a mean over 7x7 windows and a linear layer,
which has more parameters than the stages: 80 of 98 million. A small head is a mean over 8x8 windows (equal ones, since
the maps are 64, 32 and 16 pixels wide), one 8x8 kernel for each channel, and a 1x1 convolution.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from clearport.models.layers.inversion.stylegan import CODE

_BLOCKS = (3, 4, 14)
_SQUEEZED = 16
_PUBLISHED_WINDOWS, _WINDOWS = 7, 8


class Block(nn.Module):
    """(B, C, h, w) to (B, D, h/stride, w/stride)."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(taken),
            nn.Conv2d(taken, given, 3, padding=1, bias=False),
            nn.PReLU(given),
            nn.Conv2d(given, given, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(given),
        )
        narrow = max(1, given // _SQUEEZED)
        self.squeeze, self.excite = nn.Conv2d(given, narrow, 1, bias=False), nn.Conv2d(narrow, given, 1, bias=False)
        self.skip = _skip(taken, given, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.body(features)
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(found.mean(dim=(2, 3), keepdim=True)))))
        whole: torch.Tensor = found * weight + self.skip(features)
        return whole


def _skip(taken: int, given: int, stride: int) -> nn.Module:
    if taken != given:
        return nn.Sequential(nn.Conv2d(taken, given, 1, stride, bias=False), nn.BatchNorm2d(given))
    return nn.MaxPool2d(1, stride) if stride > 1 else nn.Identity()


class Head(nn.Module):
    """(B, C, h, w) to ``codes`` codes, (B, codes, 512); ``small``: without a linear layer over all windows."""

    def __init__(self, channels: int, codes: int, *, small: bool) -> None:
        super().__init__()
        self.norm, self.codes, self.small = nn.BatchNorm2d(channels), codes, small
        if small:
            self.windows = nn.Conv2d(channels, channels, _WINDOWS, groups=channels)
            self.tail: nn.Module = nn.Conv2d(channels, codes * CODE, 1)
        else:
            self.tail = nn.Linear(channels * _PUBLISHED_WINDOWS**2, codes * CODE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.norm(features)
        if not self.small:
            found = self.tail(F.adaptive_avg_pool2d(found, _PUBLISHED_WINDOWS).flatten(1))
        else:
            step = features.shape[2] // _WINDOWS, features.shape[3] // _WINDOWS
            found = self.tail(self.windows(F.avg_pool2d(found, step, step)))
        codes: torch.Tensor = found.reshape(-1, self.codes, CODE)
        return codes


class Encoder(nn.Module):
    """Pictures (B, ``taken``, H, W) in -1..1, H and W multiples of 64, to codes (B, N, 512), coarsest first.

    Args:
        taken: input channels: 3, or 6 for a picture and its reconstruction.
        width: channels of the first stage; 64 in the paper.
        codes: codes of the three heads, from finest to coarsest; 4, 5, 9 in the paper, for 1024x1024.
        small: whether its heads are small.
    """

    def __init__(self, taken: int, width: int, codes: tuple[int, int, int], *, small: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(taken, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.active = nn.PReLU(width)
        sizes = (width, width, 2 * width, 4 * width)
        self.stages = nn.ModuleList(
            nn.Sequential(Block(a, b, 2), *(Block(b, b, 1) for _ in range(count - 1)))
            for (a, b), count in zip(pairwise(sizes), _BLOCKS, strict=True)
        )
        self.heads = nn.ModuleList(Head(n, count, small=small) for n, count in zip(sizes[1:], codes, strict=True))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        found = self.active(self.enter(picture))
        codes = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            found = stage(found)
            codes.append(head(found))
        return torch.cat(codes[::-1], dim=1)
