"""Multi-attentional detection for phones: four attention maps over textures and global features (arXiv 2103.02406).

    picture ── EfficientNet-lite0 ─┬─ H/4: 1x1, 16 ── 3x3 ── minus means of blocks ── · each map ── dense block
                                   ├─ H/16 ── 3x3 ── 1x1 ── ELU + 1 ── four maps
                                   └─ H/32 ── 1x1, 1280 ── mean, weighted by the sum of the maps
    textures, weighted by each map, as unit vectors ── two linear ──┐
    the weighted mean ── linear ────────────────────────────────────┴── concat ── two linear ── logits

Published is EfficientNet-b4 at 380x380 (textures of 32 channels at 95x95, attention from 160 channels at 23x23), 18.8 M
parameters and 7.3 G multiply-accumulates, of which ``Head`` has 1.3 M: too slow for a video on a phone. This one takes
224x224, where blocks of 4x4 divide what is pooled, as 95 / 23 does not: 3,672,842 parameters and 0.68 G.

It is trained with the paper's losses: cross-entropy, also of pictures whose region under one map is blurred
(attention-guided augmentation), and regional independence of the maps (``training/regions.py``).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import TensorSpec
from clearport.model_spec import Paper
from clearport.models.layers.detector import LABELS, detector
from clearport.models.layers.mobile import EFFICIENTNET_LITE0, inverted, normed
from clearport.models.training.outputs import Restored

MAPS = 4
_TEXTURE, _FINAL, _MIDDLE = 16, 1280, 64
_BORDER, _FRAME = 2, 24
"""Maps are 0 at the border: two of 24 places."""

_NEAR, _SHRINK, _SMOOTH = (0.4, 0.6), 0.3, 5


class Attention(nn.Module):
    """Features (B, C, h, w) to four nonnegative maps (B, 4, h, w)."""

    inside: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.extract = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.maps = nn.Conv2d(channels, MAPS, 1, bias=False)
        self.norm_maps = nn.BatchNorm2d(MAPS)
        inside = F.pad(torch.ones(1, 1, _FRAME - 2 * _BORDER, _FRAME - 2 * _BORDER), (_BORDER,) * 4)
        self.register_buffer("inside", inside, persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.norm_maps(self.maps(F.relu(self.norm(self.extract(features)))))
        return (F.elu(found) + 1.0) * F.interpolate(self.inside, features.shape[2:], mode="nearest")


class Textures(nn.Module):
    """Features (B, C, n*h, n*w) and maps (B, 4, h, w) to textures of each map by itself, (B, 4*C, n*h, n*w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        count = MAPS * channels
        self.extract = nn.Conv2d(channels, channels, 3, padding=1)
        self.first = nn.Conv2d(count, count, 5, padding=2, groups=MAPS)
        self.norms = nn.ModuleList(nn.BatchNorm2d(number * count) for number in (1, 2, 3, 4))
        self.grow = nn.ModuleList(nn.Conv2d(number * count, count, 3, padding=1, groups=MAPS) for number in (1, 2, 3))
        self.last = nn.Conv2d(4 * count, count, 1, groups=MAPS)
        self.norm_last = nn.BatchNorm2d(count)

    def forward(self, features: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        found = self.extract(features)
        block = features.shape[2] // maps.shape[2]
        fine = found - F.interpolate(F.avg_pool2d(found, block), scale_factor=block, mode="nearest")
        weights = torch.tanh(_enlarged(maps.detach(), features))
        dense = [self.first(torch.cat([fine * each for each in torch.split(weights, 1, dim=1)], dim=1))]
        for norm, grow in zip(self.norms, self.grow, strict=False):
            dense.append(grow(F.relu(norm(_side_by_side(dense)))))
        textures: torch.Tensor = F.relu(self.norm_last(self.last(F.relu(self.norms[-1](_side_by_side(dense))))))
        return textures


def _side_by_side(features: list[torch.Tensor]) -> torch.Tensor:
    """The channels of each of four groups of all, group by group."""
    groups = zip(*(each.chunk(MAPS, dim=1) for each in features), strict=True)
    return torch.cat([part for group in groups for part in group], dim=1)


def _enlarged(maps: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    return F.interpolate(maps, features.shape[2:], mode="bilinear", align_corners=True)


class Head(nn.Module):
    """The paper's head on a backbone: three of its maps to logits (B, 2).

    Args:
        texture, attention, final: channels of the maps at the finest, at a middle and at the coarsest size.
        middle: width of the two vectors that are put together.
    """

    def __init__(self, texture: int, attention: int, final: int, middle: int) -> None:
        super().__init__()
        self.attention = Attention(attention)
        self.textures = Textures(texture)
        self.local = nn.Sequential(
            nn.Linear(MAPS * texture, middle), nn.Hardswish(), nn.Linear(middle, middle), nn.Hardswish()
        )
        self.whole = nn.Sequential(nn.Linear(final, middle), nn.Hardswish())
        self.classify = nn.Sequential(nn.Linear(2 * middle, middle), nn.Hardswish(), nn.Linear(middle, len(LABELS)))

    def forward(self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return self.look(fine, middle, coarse)[0]

    def look(
        self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (B, 2), the textures that each map sees, as unit vectors side by side (B, 4*C), and the maps."""
        maps = self.attention(middle)
        textures = self.textures(fine, maps)
        weights = _enlarged(maps, textures)
        pairs = zip(textures.chunk(MAPS, dim=1), torch.split(weights, 1, dim=1), strict=True)
        local = torch.cat([F.normalize((each * weight).mean(dim=(2, 3)), dim=1) for each, weight in pairs], dim=1)
        summed = F.interpolate(maps.sum(dim=1, keepdim=True), coarse.shape[2:], mode="bilinear", align_corners=True)
        shares = summed / (summed.sum(dim=(2, 3), keepdim=True) + 1e-8)
        whole = (coarse * shares).sum(dim=(2, 3))
        logits: torch.Tensor = self.classify(torch.cat((self.local(local), self.whole(whole)), dim=1))
        return logits, local, maps


@torch.no_grad()
def blurred_by_attention(picture: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W), blurred where one of their maps (B, 4, h, w), drawn for each, is near its maximum.

    "Near" is above a share of it that is drawn from 0.4..0.6. The blur shrinks to 0.3 and smooths there.
    """
    count, height, width = picture.shape[0], *picture.shape[2:]
    chosen = torch.randint(maps.shape[1], (count,), device=maps.device)
    seen = maps[torch.arange(count, device=maps.device), chosen][:, None]
    seen = F.interpolate(seen, (height, width), mode="bilinear", align_corners=True)
    shares = torch.empty(count, 1, 1, 1, device=maps.device).uniform_(*_NEAR)
    small = F.interpolate(picture, scale_factor=_SHRINK, mode="bilinear", antialias=True)
    smooth = F.avg_pool2d(F.pad(small, (_SMOOTH // 2,) * 4, mode="replicate"), _SMOOTH, 1)
    blurred = F.interpolate(smooth, (height, width), mode="bilinear")
    return torch.where(seen > shares * seen.amax(dim=(2, 3), keepdim=True), blurred, picture)


class MultiAttentional(nn.Module):
    """RGB picture (B, 3, 224, 224) in -1..1 to logits of real and fake (B, 2).

    In training mode it gives ``Restored`` with the logits as ``image``, and the maps ``regions`` (B, 4, C), unit
    vectors, ``augmented`` (B, 2), the logits of pictures that its attention changed, and ``augmented-regions``.
    """

    def __init__(self) -> None:
        super().__init__()
        parts, widths = inverted(1.0, EFFICIENTNET_LITE0)
        self.to_fine, self.to_middle = nn.Sequential(*parts[:3]), nn.Sequential(*parts[3:6])
        self.to_coarse = nn.Sequential(*parts[6:], *normed(widths[-1], _FINAL, 1))
        self.narrow = nn.Sequential(*normed(widths[2], _TEXTURE, 1))
        self.head = Head(_TEXTURE, widths[5], _FINAL, _MIDDLE)

    def forward(self, picture: torch.Tensor) -> torch.Tensor | Restored:
        logits, regions, maps = self._look(picture)
        if not self.training:
            return logits
        again, others, _ = self._look(blurred_by_attention(picture, maps))
        first, second = (each.reshape(len(each), MAPS, -1) for each in (regions, others))
        return Restored(logits, maps={"regions": first, "augmented": again, "augmented-regions": second})

    def _look(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fine = self.to_fine(picture)
        middle = self.to_middle(fine)
        return self.head.look(self.narrow(fine), middle, self.to_coarse(middle))


def build(scale: int) -> MultiAttentional:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return MultiAttentional().eval()


SPEC = detector(
    "multiattentional",
    build,
    Paper("Multi-attentional Deepfake Detection", "2103.02406"),
    (TensorSpec("image", (1, 3, "H", "W"), value_range=(0.0, 1.0), mean=(0.5,) * 3, std=(0.5,) * 3),),
    recipe={"loss": "cross-entropy + 0.5*regional + augmented + 0.1*match"},
)
