"""Local-to-global hierarchical attention between all positions (after arXiv 2308.08220).

Attention over all n positions costs n². Here positions first attend within their window, together with a learned token
that summarizes it; then these tokens, one per window, attend to each other over the whole picture; then each window's
token is added to its positions. With windows of k positions that costs n·k + (n/k)². Choices that the abstract leaves
open: windows of 8x8, the token as 65th position of the first attention, a projection and an addition to feed it back,
pre-normalization, and a depthwise convolution as positional encoding.

Windows are made by reshapes and transposes of rank 4 at most, which every target supports. A picture whose sides are
not multiples of the window is padded by replication.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

WINDOW = 8
_PLACES = WINDOW * WINDOW


class Attention(nn.Module):
    """Multi-head self-attention within each of B sets of positions: (B, N, width) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.project = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        sets, count, width = places.shape
        size = width // self.heads

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.view(sets, count, self.heads, size).transpose(1, 2)  # (B, heads, N, size)

        logits = split(self.query(places)) @ split(self.key(places)).transpose(2, 3) * size**-0.5
        found = logits.softmax(dim=-1) @ split(self.value(places))
        projected: torch.Tensor = self.project(found.transpose(1, 2).reshape(sets, count, width))
        return projected


class Feedforward(nn.Module):
    """(..., width) to the same: two linear layers with GELU in between, of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand, self.reduce = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.reduce(F.gelu(self.expand(self.norm(places))))
        return places + added


class LocalToGlobal(nn.Module):
    """Features (B, width, h, w) to the same shape."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.where = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.norm_local, self.norm_global = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look_near, self.look_far = Attention(width, heads), Attention(width, heads)
        self.bring = nn.Linear(width, width)
        self.think = Feedforward(width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        below, beside = (-n % WINDOW for n in features.shape[2:])
        padded = F.pad(features + self.where(features), (0, beside, 0, below), mode="replicate")
        whole = self.look(padded)
        return whole[:, :, : features.shape[2], : features.shape[3]]

    def look(self, features: torch.Tensor) -> torch.Tensor:
        """Both attentions on features (B, width, h, w) of whole windows."""
        batch, width, height, wide = features.shape
        places = windows(features)  # (B * windows, 64, width)
        tokens = self.token.expand(places.shape[0], 1, width)
        both = torch.cat((tokens, places), dim=1)
        both = both + self.look_near(self.norm_local(both))
        tokens, places = both[:, :1], both[:, 1:]
        summaries = tokens.reshape(batch, -1, width)  # (B, windows, width)
        summaries = summaries + self.look_far(self.norm_global(summaries))
        places = places + self.bring(summaries).view(-1, 1, width)
        return picture(self.think(places), batch, height, wide)


def windows(features: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) to (B * windows, 64, C), windows and the positions in a window in row-major order."""
    batch, width, height, wide = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(batch * height // WINDOW, WINDOW, wide // WINDOW, WINDOW * width)
    return rows.transpose(1, 2).reshape(-1, _PLACES, width)


def picture(places: torch.Tensor, batch: int, height: int, wide: int) -> torch.Tensor:
    """The inverse of ``windows``."""
    width = places.shape[2]
    rows = places.view(batch * height // WINDOW, wide // WINDOW, WINDOW, WINDOW * width).transpose(1, 2)
    return rows.reshape(batch, height, wide, width).permute(0, 3, 1, 2)
