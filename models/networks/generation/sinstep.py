"""SinDiffusion: the step of a diffusion model trained on one photo, which generates similar ones (arXiv 2211.12445).

    x_t, time ── 3x3 ── block ─┬─ down ── block ─┬─ down ── block ── block ── block ── up ── two blocks ── up ── ...
                               └──── concat ─────┴──── concat ────────────────────────────┘

Its small receptive field makes it learn patches rather than memorize the photo: a U-Net of three levels without
attention and without middle blocks. A block is group norm, SiLU, 3x3, scale and shift by the time, and the same again,
beside a skip. The published one is 64 wide and has 6,992,899 parameters; this one, for phones, is 32 wide, its groups
have as many channels (2, 4, 8), and the cosines and sines of the step are an input, so that files need not compute
them.

The network is one step. The loop of DDIM around it is the system ``sindiffusion`` (``models/systems``).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec, Paper
from clearport.models.degradations.diffusion import WIDTH

_GROUP = 2
"""Channels of a group on the first level."""


class Block(nn.Module):
    """Features (B, C, h, w) and the embedded time (B, E) to (B, D, h, w)."""

    def __init__(self, channels: int, width: int, time: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, channels), nn.Conv2d(channels, width, 3, padding=1)
        self.time = nn.Linear(time, 2 * width)
        self.norm2, self.conv2 = nn.GroupNorm(groups, width), nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Identity() if channels == width else nn.Conv2d(channels, width, 1)
        nn.init.zeros_(self.conv2.weight)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, features: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        found = self.norm2(self.conv1(F.silu(self.norm1(features)))) * (1.0 + scale) + shift
        whole: torch.Tensor = self.skip(features) + self.conv2(F.silu(found))
        return whole


class SinDiffusion(nn.Module):
    """A noisy picture (B, 3, H, W), -1..1 plus noise, H and W multiples of 4, and the step's embedding (B, width).

    The output is the noise (B, 3, H, W), of unit variance.
    """

    def __init__(self, width: int = WIDTH, groups: int = WIDTH // _GROUP) -> None:
        super().__init__()
        time, sizes = 4 * width, (width, 2 * width, 4 * width)
        self.embed = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(Block(a, b, time, groups) for a, b in zip((width, *sizes[:-1]), sizes, strict=True))
        self.smaller = nn.ModuleList(nn.Conv2d(n, n, 3, stride=2, padding=1) for n in sizes[:-1])
        ends = ((4, 4), (6, 4), (6, 2), (3, 2), (3, 1), (2, 1))
        self.up = nn.ModuleList(Block(a * width, b * width, time, groups) for a, b in ends)
        self.larger = nn.ModuleList(nn.Conv2d(n * width, n * width, 3, padding=1) for n in (4, 2))
        self.norm, self.tail = nn.GroupNorm(groups, width), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        told = self.embed(time)
        found = self.head(noisy)
        kept = [found]
        for level, block in enumerate(self.down):
            found = block(found, told)
            kept.append(found)
            if level < len(self.smaller):
                found = self.smaller[level](found)
                kept.append(found)
        found = kept.pop()
        for number, block in enumerate(self.up):
            found = block(torch.cat((found, kept.pop()), dim=1) if number else found, told)
            if number % 2 and number // 2 < len(self.larger):
                found = self.larger[number // 2](F.interpolate(found, scale_factor=2.0, mode="nearest"))
        noise: torch.Tensor = self.tail(F.silu(self.norm(found)))
        return noise


def build(scale: int) -> SinDiffusion:
    """The network in eval mode with fresh weights; it has one scale. 1,752,579 parameters."""
    del scale
    return SinDiffusion().eval()


SPEC = ModelSpec(
    name="sinstep",
    task="generation",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=0,
    whole_picture=True,  # global, by its normalization statistics
    size_multiple=4,
    least_side=16,
    value_range=(-1.0, 1.0),
    recommended=True,
    paper=Paper("SinDiffusion: Learning a Diffusion Model from a Single Natural Image", "2211.12445"),
    inputs=(
        TensorSpec("noisy", (1, 3, "H", "W"), kind="map", value_range=None),
        TensorSpec("time", (1, WIDTH), kind="vector", value_range=(-1.0, 1.0)),
    ),
    outputs=(TensorSpec("noise", (1, 3, "H", "W"), kind="map", value_range=None),),
    recipe={
        "degradation": "diffusion",
        "loss": "l2",
        "patch": 48,
        "batch": 4,
        "optimizer": "adam",
        "lr": 1e-3,
        "ema": 0.995,
        "bias_unit": 1.0,
        "shrink": (0.85, 0.75),
    },
)
