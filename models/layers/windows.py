"""Attention within windows of 8x8 pixels (Swin, arXiv 2103.14030), with tensors of rank 4 at most.

A picture (B, H, W, C) is split by rows of windows: (B*H/8, 8, W/8, 8*C) with its middle axes swapped is the windows
with their rows, without a transpose of rank 6. Runtimes on phones support rank 4.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

SIDE = 8
SHIFT = SIDE // 2
_APART = -100.0
"""Added to masked attention logits."""


def cut(picture: torch.Tensor) -> torch.Tensor:
    """Picture (B, H, W, C), H and W multiples of 8, to the tokens of its windows (B*H*W/64, 64, C)."""
    width, channels = picture.shape[2:]
    rows = picture.reshape(-1, SIDE, width // SIDE, SIDE * channels).transpose(1, 2)
    return rows.reshape(-1, SIDE * SIDE, channels)


def joined(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The inverse of ``cut``."""
    channels = tokens.shape[2]
    rows = tokens.reshape(-1, width // SIDE, SIDE, SIDE * channels).transpose(1, 2)
    return rows.reshape(-1, height, width, channels)


def apart(side: int, *, rows: bool) -> torch.Tensor:
    """The attention mask of windows along one axis of a shifted picture, (side/8, 1, 64, 64): -100 between pixels of
    the last window that were not neighbors before the shift, else 0.
    """
    place = torch.arange(SIDE * SIDE)
    half = (place // SIDE if rows else place % SIDE) >= SHIFT
    strangers = _APART * (half[:, None] != half).float()
    return torch.cat((torch.zeros(side // SIDE - 1, SIDE * SIDE, SIDE * SIDE), strangers[None]))[:, None]


class WindowAttention(nn.Module):
    """(B, H, W, C) to the same: each pixel attends to those of its window.

    Args:
        channels: C.
        heads: number of heads, a divisor of C.
        shifted: whether windows are shifted by half their side; H and W are then at least 16.
    """

    index: torch.Tensor

    def __init__(self, channels: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shifted = heads, shifted
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.near = nn.Parameter(torch.zeros((2 * SIDE - 1) ** 2, heads))
        nn.init.trunc_normal_(self.near, std=0.02)
        y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        far = [place.flatten()[:, None] - place.flatten() + SIDE - 1 for place in (y, x)]
        self.register_buffer("index", (far[0] * (2 * SIDE - 1) + far[1]).flatten(), persistent=False)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = picture.shape
        moved = torch.roll(picture, (-SHIFT, -SHIFT), (1, 2)) if self.shifted else picture
        query, key, value = (
            part.reshape(-1, SIDE * SIDE, self.heads, channels // self.heads).transpose(1, 2)
            for part in self.qkv(cut(moved)).chunk(3, dim=-1)
        )
        near = self.near.index_select(0, self.index).T.reshape(1, self.heads, SIDE * SIDE, SIDE * SIDE)
        scores = query @ key.transpose(2, 3) * (channels // self.heads) ** -0.5 + near
        if self.shifted:  # by rows and columns of windows: a mask per window would be 16 MB for 256x256
            across = apart(width, rows=False).repeat_interleave(self.heads, dim=0).transpose(0, 1)
            down = apart(height, rows=True).to(scores)
            down = down if batch == 1 else down.repeat(batch, 1, 1, 1)
            lines = scores.reshape(-1, width // SIDE * self.heads, SIDE * SIDE, SIDE * SIDE)
            scores = (lines + across.to(scores) + down).reshape(scores.shape)
        seen = (F.softmax(scores, dim=-1) @ value).transpose(1, 2).reshape(-1, SIDE * SIDE, channels)
        found = joined(self.project(seen), height, width)
        return torch.roll(found, (SHIFT, SHIFT), (1, 2)) if self.shifted else found
