"""Matting by clicks with two networks, after arXiv 2012.08323: a coarse alpha with its uncertainty, and a refinement.

The paper has no public code, and its backbone and sizes are unknown: these are small designs of its kind. The inputs of
the coarse network are the whole picture at 128x128 and a map of clicks (discs of 1 on the foreground, -1 on the
background). Its outputs are alpha, and the scale of a Laplace distribution around it, its expected error. The inputs of
the refinement are 64x64 crops of the full-size picture where that scale is largest, and alpha there.

    picture, clicks, distance ── four levels of two 3x3, each half as large ── global mean ── back up ── alpha, scale
    picture, alpha ── six 3x3, dilated by 1, 2, 4, 8 ── add to alpha ── alpha

The distance is that of each pixel's color to the mean color under foreground clicks: three channels with information
that convolutions would need many layers to propagate. The largest layers work at half resolution, with another input of
the picture at full resolution.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.models.training.outputs import Restored

COARSE, SQUARE = 128, 64
_SEEN = 3 + 1 + 3
RADIUS = 4.0
"""Radius of the discs of clicks, in pixels of the coarse network's picture: about 15 of 512, as in the paper."""
_WIDTHS = (24, 40, 64, 96)
_HEAD, _REFINED = 12, 24
_NO_CLICK = 1e-4
"""Added to the share of clicked pixels (0.003 for one disc) to avoid division by zero."""
_TAUGHT = 4
"""In a training step, a square of every fourth picture is refined: that costs as much as all of alpha."""
_LEAST_SCALE = 0.002
"""Minimum scale: half an 8-bit level."""


def _pair(channels: int, width: int, stride: int) -> nn.Sequential:
    first = nn.Conv2d(channels, width, 4 if stride == 2 else 3, stride=stride, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU())


class Coarse(nn.Module):
    """Picture (B, 3, H, W) in 0..1 and clicks (B, 1, H, W) in -1..1, H and W multiples of 16, to alpha and its scale.

    Both are (B, 1, H, W), alpha in 0..1, not clipped in training mode, the scale above 0.
    """

    def __init__(self) -> None:
        super().__init__()
        sizes = (_SEEN, *_WIDTHS)
        self.down = nn.ModuleList(_pair(a, b, 2) for a, b in zip(sizes, _WIDTHS, strict=False))
        self.whole = nn.Linear(_WIDTHS[-1], _WIDTHS[-1])
        ups = list(zip(_WIDTHS[::-1], _WIDTHS[-2::-1], strict=False))
        self.enter = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in ups)
        self.up = nn.ModuleList(_pair(2 * b, b, 1) for _, b in ups)
        self.full = nn.Conv2d(_WIDTHS[0], _HEAD, 1)
        self.head = nn.Conv2d(_HEAD + _SEEN, _HEAD, 3, padding=1)
        self.alpha, self.scale = nn.Conv2d(_HEAD, 1, 3, padding=1), nn.Conv2d(_HEAD, 1, 3, padding=1)
        for head, start in ((self.alpha, 0.3), (self.scale, -2.0)):
            nn.init.normal_(head.weight, std=0.01)
            assert head.bias is not None
            nn.init.constant_(head.bias, start)

    def forward(self, image: torch.Tensor, clicks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = torch.cat((image, clicks, distance(image, clicks)), dim=1)
        found, kept = seen, []
        for block in self.down:
            found = block(found)
            kept.append(found)
        kept.pop()
        mean = F.relu(self.whole(found.mean(dim=(2, 3))))
        found = found + mean[:, :, None, None]
        for enter, block in zip(self.enter, self.up, strict=True):
            found = block(torch.cat((_doubled(enter(found)), kept.pop()), dim=1))
        found = F.relu(self.head(torch.cat((_doubled(self.full(found)), seen), dim=1)))
        alpha: torch.Tensor = self.alpha(found)
        scale = torch.sigmoid(self.scale(found)) + _LEAST_SCALE
        return (alpha if self.training else alpha.clamp(0.0, 1.0)), scale


def distance(image: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    """Distance (B, 3, H, W) of a picture's pixels to its mean color where clicks (B, 1, H, W) are above 0."""
    wanted = F.relu(clicks)
    share = wanted.mean(dim=(2, 3), keepdim=True) + _NO_CLICK
    return (image - (image * wanted).mean(dim=(2, 3), keepdim=True) / share).abs()


def _doubled(values: torch.Tensor) -> torch.Tensor:
    return F.interpolate(values, scale_factor=2.0, mode="bilinear", align_corners=False)


class Refine(nn.Module):
    """A crop of the picture (B, 3, h, w) and of alpha (B, 1, h, w), both in 0..1, to refined alpha (B, 1, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, _REFINED, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(_REFINED, _REFINED, 3, padding=d, dilation=d) for d in (1, 2, 4, 8))
        self.tail = nn.Conv2d(_REFINED, 1, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # initially the identity on alpha
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

    def forward(self, image: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        found = F.relu(self.head(torch.cat((image, alpha), dim=1)))
        for convolution in self.body:
            found = F.relu(found + convolution(found))
        refined: torch.Tensor = alpha + self.tail(found)
        return refined if self.training else refined.clamp(0.0, 1.0)


class Matting(nn.Module):
    """Both parts, which are trained jointly and share a file of weights; ``refines`` selects the exported one.

    In training mode it returns ``Restored``: alpha, and the maps ``scale`` (B, 1, H, W), ``square`` (N, 1, 64, 64) and
    ``place`` (N, 2): for the first N of the B pictures (a fourth, at least one) the square with the largest scale,
    refined from an alpha that is blurred as by upscaling.
    """

    def __init__(self, *, refines: bool) -> None:
        super().__init__()
        self.coarse, self.refine, self.refines = Coarse(), Refine(), refines

    def forward(self, *inputs: torch.Tensor) -> object:
        if not self.training:
            return self.deploy()(*inputs)
        image, clicks = inputs
        alpha, scale = self.coarse(image, clicks)
        few = max(1, len(image) // _TAUGHT)
        blurred = _enlarged(alpha[:few].detach().clamp(0.0, 1.0), int(torch.randint(1, 4, ())))
        places = places_of(scale[:few].detach())
        squares = [cut(values, places) for values in (image[:few], blurred)]
        maps = {"scale": scale, "square": self.refine(*squares), "place": places}
        return Restored(alpha, maps=maps)

    def deploy(self) -> nn.Module:
        """The exported part."""
        return self.refine if self.refines else self.coarse


def _enlarged(alpha: torch.Tensor, times: int) -> torch.Tensor:
    """Alpha blurred as if upscaled from a smaller size."""
    if times == 1:
        return alpha
    small = F.interpolate(alpha, scale_factor=1.0 / times, mode="area")
    return F.interpolate(small, size=alpha.shape[2:], mode="bilinear", align_corners=False)


def places_of(scale: torch.Tensor) -> torch.Tensor:
    """Top and left (B, 2) of the square with the largest sum of each map, on a grid of half its side."""
    sums = F.avg_pool2d(scale, SQUARE, stride=SQUARE // 2)
    best = sums.flatten(1).argmax(dim=1)
    return torch.stack((best // sums.shape[3], best % sums.shape[3]), dim=1) * (SQUARE // 2)


def cut(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The 64x64 crop of each map (B, C, H, W) at its position: (B, C, 64, 64)."""
    pairs = zip(values, places.tolist(), strict=True)
    return torch.stack([one[:, top : top + SQUARE, left : left + SQUARE] for one, (top, left) in pairs])
