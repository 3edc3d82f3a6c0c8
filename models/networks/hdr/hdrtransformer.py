"""HDR-Transformer in a small form: three exposures to one picture of high dynamic range (arXiv 2208.05114).

    each frame, and its light ── 3x3                                              s, m, l
    s, m ── 3x3 ── 3x3 ── sigmoid ── · s      l, m ── the same ── · l             (what moved or clipped is masked)
    concat ── 3x3 ─┬─ norm ── 2 groups: (2 blocks, dilated 3x3, + skip) ── norm ── 3x3 ── + ── + m ── 3x3 ── sigmoid
                   └────────────────────────────────────────────────────────────────────┘
    block: x + attention in 8x8 windows of n + MLP + local(n), n = norm(x); every second block's windows are shifted
    local: 1x1, 3x3, 1x1, and a gate by the mean of the whole picture

Published is 60 wide with three groups of six blocks: 1,222,113 parameters, 21 G multiply-accumulates for 128x128. This
one is 24 wide: 122,943 and 2.1 G, 116 G at 720x1280, six times what ``cenhdr`` takes. The gates look at the whole
picture, so that tiles can differ in tone.

Its input is the bracket of ``cenhdr`` (-2, 0, +2 EV) and its output is the same: linear light to the power of 1/2.2,
where 1 is the clipping point of the short exposure. The published network has BGR input and linear output; its weights
are not public.
"""

from __future__ import annotations

import torch
from torch import nn

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.windows import WindowAttention
from clearport.models.networks.hdr import cenhdr
from clearport.pictures.light import GAMMA

PUBLISHED = (60, 6, (6, 6, 6))
"""Width, heads, and the blocks of each group."""
_SMALL = (24, 4, (2, 2))
_NARROWER = 8
_DARKEST = 1e-8  # a power of zero has no gradient


class Norm(nn.LayerNorm):
    """Layer normalization of the channels of (B, C, H, W), to (B, H, W, C)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = super().forward(features.permute(0, 2, 3, 1))
        return found


class Local(nn.Module):
    """(B, C, H, W) to the same: convolutions, and a gate by the means of channels over the whole picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // _NARROWER
        self.convolve = nn.Sequential(
            nn.Conv2d(channels, narrow, 1),
            nn.Conv2d(narrow, narrow, 3, padding=1),
            nn.Conv2d(narrow, channels, 1),
            nn.LeakyReLU(0.2),
        )
        self.gate = nn.Sequential(
            nn.Conv2d(channels, narrow, 1, bias=False), nn.ReLU(), nn.Conv2d(narrow, channels, 1, bias=False)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.convolve(features)
        gated: torch.Tensor = found * torch.sigmoid(self.gate(found.mean(dim=(2, 3), keepdim=True)))
        return gated


class Block(nn.Module):
    """(B, C, H, W) to the same: attention in windows, a local branch beside it, and an MLP."""

    def __init__(self, channels: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.norm_attention, self.norm_mlp = Norm(channels), Norm(channels)
        self.attention = WindowAttention(channels, heads, shifted=shifted)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.local = Local(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        normed = self.norm_attention(features)
        seen = features + self.attention(normed).permute(0, 3, 1, 2)
        beside = self.local(normed.permute(0, 3, 1, 2))
        found: torch.Tensor = seen + self.mlp(self.norm_mlp(seen)).permute(0, 3, 1, 2) + beside
        return found


class Group(nn.Module):
    """(B, C, H, W) to the same: blocks, a dilated convolution, and a skip over them."""

    def __init__(self, channels: int, heads: int, count: int) -> None:
        super().__init__()
        blocks = (Block(channels, heads, shifted=number % 2 == 1) for number in range(count))
        self.body = nn.Sequential(*blocks, nn.Conv2d(channels, channels, 3, padding=2, dilation=2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = features + self.body(features)
        return found


class Mask(nn.Module):
    """Features of a frame and of the reference, (B, C, H, W) each, to a mask of the frame's in 0..1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(2 * channels, channels, 3, padding=1),
        )

    def forward(self, frame: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.look(torch.cat((frame, reference), dim=1)))


class HdrTransformer(nn.Module):
    """Three pictures (B, 3, H, W) in 0..1, H and W multiples of 8 from 16 on, at -2, 0 and +2 EV, to (B, 3, H, W) in
    0..1: linear light to the power of 1/2.2.
    """

    def __init__(self, channels: int, heads: int, groups: tuple[int, ...]) -> None:
        super().__init__()
        self.stems = nn.ModuleList(nn.Conv2d(6, channels, 3, padding=1) for _ in range(3))
        self.masks = nn.ModuleList(Mask(channels) for _ in range(2))
        self.fuse = nn.Conv2d(3 * channels, channels, 3, padding=1)
        self.norm_first, self.norm_last = Norm(channels), Norm(channels)
        self.groups = nn.Sequential(*(Group(channels, heads, count) for count in groups))
        self.after = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, short: torch.Tensor, medium: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
        first, middle, last = (
            stem(torch.cat((_light(frame, number), frame), dim=1))
            for number, (stem, frame) in enumerate(zip(self.stems, (short, medium, long), strict=True))
        )
        masked = first * self.masks[0](first, middle), middle, last * self.masks[1](last, middle)
        fused = self.fuse(torch.cat(masked, dim=1))
        found = self.groups(self.norm_first(fused).permute(0, 3, 1, 2))
        body = self.after(self.norm_last(found).permute(0, 3, 1, 2)) + fused
        encoded: torch.Tensor = torch.sigmoid(self.tail(body + middle))
        return encoded


def _light(frame: torch.Tensor, number: int) -> torch.Tensor:
    """A frame of the bracket as linear light, in which all frames agree where they do not clip."""
    light: torch.Tensor = frame.clamp_min(_DARKEST) ** GAMMA * 2.0 ** (-cenhdr.STOPS * number)
    return light


def build(scale: int) -> HdrTransformer:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return HdrTransformer(*_SMALL).eval()


SPEC = ModelSpec(
    name="hdrtransformer",
    task="hdr",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=32,
    whole_picture=True,
    size_multiple=8,
    least_side=16,
    value_range=cenhdr.SPEC.value_range,
    paper=Paper("Ghost-free High Dynamic Range Imaging with Context-aware Transformer", "2208.05114"),
    inputs=cenhdr.SPEC.inputs,
    outputs=cenhdr.SPEC.outputs,
    recipe={**cenhdr.SPEC.recipe, "optimizer": "adam", "lr": 1e-3},
)
