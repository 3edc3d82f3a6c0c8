"""The local branch of IAT, at full resolution: a multiplier and an offset per pixel (arXiv 2205.14871).

A block is ``x + depthwise 3x3``, then ``x + pointwise · depthwise 5x5 · pointwise``, then ``x + two pointwise with
GELU``; the last two begin with a mixing of channels instead of normalization and end with a scale per channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 16
_HIDDEN = 4 * WIDTH
_SLOPE = 0.2
_SCALE = 1e-4  # initial scale of a block's residual


class Mixing(nn.Module):
    """Channels (B, 16, H, W) mixed by a matrix (initially the identity), scaled and shifted; linear."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, 1, WIDTH))
        self.beta = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.color = nn.Parameter(torch.eye(WIDTH))

    def matrix(self) -> torch.Tensor:
        """The matrix (16, 16) by which channels are multiplied."""
        return self.alpha.flatten()[:, None] * self.color

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.conv2d(features, self.matrix()[..., None, None], self.beta.flatten())


class LocalBlock(nn.Module):
    """Features (B, 16, H, W) to the same shape, in the training form."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.mix1, self.mix2 = Mixing(), Mixing()
        self.before = nn.Conv2d(WIDTH, WIDTH, 1)
        self.wide = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH)
        self.after = nn.Conv2d(WIDTH, WIDTH, 1)
        self.expand = nn.Conv2d(WIDTH, _HIDDEN, 1)
        self.reduce = nn.Conv2d(_HIDDEN, WIDTH, 1)
        self.scale1 = nn.Parameter(torch.full((1, WIDTH, 1, 1), _SCALE))
        self.scale2 = nn.Parameter(torch.full((1, WIDTH, 1, 1), _SCALE))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features + self.near(features)
        features = features + self.scale1 * self.after(self.wide(self.before(self.mix1(features))))
        found: torch.Tensor = self.reduce(F.gelu(self.expand(self.mix2(features))))
        return features + self.scale2 * found

    @torch.no_grad()
    def deploy(self) -> PlainLocalBlock:
        """The equivalent block with all linear operations merged."""
        plain = PlainLocalBlock()
        plain.near.weight.copy_(self.near.weight)
        plain.near.weight[:, 0, 1, 1] += 1.0
        _copy_bias(plain.near, _bias(self.near))
        _merge(plain.before, self.before, self.mix1)
        plain.wide.load_state_dict(self.wide.state_dict())
        _scale(plain.after, self.after, self.scale1)
        _merge(plain.expand, self.expand, self.mix2)
        _scale(plain.reduce, self.reduce, self.scale2)
        return plain


class PlainLocalBlock(nn.Module):
    """The result of ``LocalBlock.deploy``: six convolutions, two additions."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.before = nn.Conv2d(WIDTH, WIDTH, 1)
        self.wide = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH)
        self.after = nn.Conv2d(WIDTH, WIDTH, 1)
        self.expand = nn.Conv2d(WIDTH, _HIDDEN, 1)
        self.reduce = nn.Conv2d(_HIDDEN, WIDTH, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.near(features)
        features = features + self.after(self.wide(self.before(features)))
        found: torch.Tensor = self.reduce(F.gelu(self.expand(features)))
        return features + found


class Local(nn.Module):
    """RGB image (B, 3, H, W) in 0..1 to a multiplier (nonnegative) and an offset (-1..1), both (B, 3, H, W).

    The first half of ``blocks`` is for the multiplier.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        half = len(blocks) // 2
        self.head = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.multiply, self.add = nn.Sequential(*blocks[:half]), nn.Sequential(*blocks[half:])
        self.multiply_tail = nn.Conv2d(WIDTH, 3, 3, padding=1)
        self.add_tail = nn.Conv2d(WIDTH, 3, 3, padding=1)
        for tail, start in ((self.multiply_tail, 1.0), (self.add_tail, 0.0)):  # nearly the identity
            nn.init.normal_(tail.weight, std=1e-3)
            nn.init.constant_(_bias(tail), start)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = F.leaky_relu(self.head(image), _SLOPE)
        multiply = F.relu(self.multiply_tail(self.multiply(features) + features))
        return multiply, torch.tanh(self.add_tail(self.add(features) + features))

    def deploy(self) -> Local:
        """The equivalent branch of plain blocks."""
        blocks = [block for half in (self.multiply, self.add) for block in half]
        assert all(isinstance(block, LocalBlock) for block in blocks)
        plain = Local([block.deploy() for block in blocks if isinstance(block, LocalBlock)])
        for name in ("head", "multiply_tail", "add_tail"):
            getattr(plain, name).load_state_dict(getattr(self, name).state_dict())
        return plain


def _bias(convolution: nn.Conv2d) -> torch.Tensor:
    assert convolution.bias is not None
    return convolution.bias


def _copy_bias(convolution: nn.Conv2d, value: torch.Tensor) -> None:
    _bias(convolution).copy_(value)


def _merge(plain: nn.Conv2d, pointwise: nn.Conv2d, mixing: Mixing) -> None:
    """Merge ``mixing`` followed by ``pointwise`` into one pointwise convolution."""
    kernel = pointwise.weight[:, :, 0, 0]
    plain.weight.copy_((kernel @ mixing.matrix())[..., None, None])
    _copy_bias(plain, _bias(pointwise) + kernel @ mixing.beta.flatten())


def _scale(plain: nn.Conv2d, pointwise: nn.Conv2d, scale: torch.Tensor) -> None:
    """Merge ``scale`` (1, outputs, 1, 1) into the outputs of ``pointwise``."""
    plain.weight.copy_(pointwise.weight * scale.flatten()[:, None, None, None])
    _copy_bias(plain, _bias(pointwise) * scale.flatten())
