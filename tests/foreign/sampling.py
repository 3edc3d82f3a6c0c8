"""Warps and gathers by what the network computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Warp(nn.Module):
    """Two frames beside each other in channels, a flow between them, grid_sample as in BasicVSR (2012.02181)."""

    def __init__(self, dim: int = 16, **settings: object) -> None:
        super().__init__()
        self.settings = settings
        self.body = nn.Sequential(nn.Conv2d(6, dim, 3, 1, 1), nn.ReLU(), nn.Conv2d(dim, 2, 3, 1, 1))
        self.last = nn.Conv2d(6, 3, 3, 1, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        one, two = frames[:, :3], frames[:, 3:]
        flow = 3 * torch.tanh(self.body(frames)).permute(0, 2, 3, 1)
        _, _, h, w = one.shape
        y, x = torch.meshgrid(torch.arange(0, h), torch.arange(0, w), indexing="ij")
        grid = torch.stack((x, y), 2).type_as(one) + flow
        gx, gy = 2.0 * grid[..., 0] / max(w - 1, 1) - 1.0, 2.0 * grid[..., 1] / max(h - 1, 1) - 1.0
        warped = F.grid_sample(two, torch.stack((gx, gy), dim=3), **self.settings)
        return one + self.last(torch.cat([one, warped], 1))


@foreign((1, 6, 32, 48))
def warp() -> nn.Module:
    return Warp(mode="bilinear", padding_mode="zeros", align_corners=True)


@foreign((1, 6, 32, 48))
def warp_border() -> nn.Module:
    return Warp(mode="bilinear", padding_mode="border", align_corners=False)


class Spatial(nn.Module):
    """A spatial transformer (1506.02025): affine_grid from a pooled vector, reflection at the border."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 6)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        theta = 0.1 * self.body(image).view(-1, 2, 3) + torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        grid = F.affine_grid(theta, list(image.size()), align_corners=False)
        return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)


@foreign()
def spatial_transformer() -> nn.Module:
    return Spatial()


class Bilateral(nn.Module):
    """A bilateral grid (HDRNet, 1707.02880) sliced by grid_sample of five axes."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.ReLU(), nn.Conv2d(16, 12 * 8, 3, 2, 1))
        self.guide = nn.Conv2d(3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        coefficients = self.low(image)
        b, _, h, w = coefficients.shape
        grid = coefficients.view(b, 12, 8, h, w)
        guide = torch.tanh(self.guide(image)).permute(0, 2, 3, 1).unsqueeze(1)
        hh, ww = image.shape[2:]
        y, x = torch.meshgrid(torch.linspace(-1, 1, hh), torch.linspace(-1, 1, ww), indexing="ij")
        places = torch.cat([torch.stack([x, y], -1)[None, None], guide], -1)
        sliced = F.grid_sample(grid, places, align_corners=True, padding_mode="border").squeeze(2)
        rgb = [
            (image * sliced[:, 4 * i : 4 * i + 3]).sum(1, keepdim=True) + sliced[:, 4 * i + 3 : 4 * i + 4]
            for i in range(3)
        ]
        return torch.cat(rgb, 1)


@foreign()
def bilateral_grid() -> nn.Module:
    return Bilateral()


class Deformable(nn.Module):
    """A deformable convolution (1811.11168) spelled out: floor, four gathers of nine taps, modulated."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.first, self.offset = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 27, 3, 1, 1)
        self.mix = nn.Conv2d(9 * dim, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        b, c, h, w = x.shape
        out = self.offset(x)
        dy, dx, mask = torch.tanh(out[:, :9]), torch.tanh(out[:, 9:18]), torch.sigmoid(out[:, 18:])
        ys, xs = torch.meshgrid(torch.arange(h).float(), torch.arange(w).float(), indexing="ij")
        ky, kx = torch.meshgrid(torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0), indexing="ij")
        py = (ys[None, None] + ky.reshape(1, 9, 1, 1) + dy).clamp(0, h - 1)
        px = (xs[None, None] + kx.reshape(1, 9, 1, 1) + dx).clamp(0, w - 1)
        y0, x0 = py.floor(), px.floor()
        fy, fx = py - y0, px - x0
        flat = x.flatten(2)
        found: list[torch.Tensor] = []
        for oy, wy in ((0, 1 - fy), (1, fy)):
            for ox, wx in ((0, 1 - fx), (1, fx)):
                index = (y0 + oy).clamp(max=h - 1).long() * w + (x0 + ox).clamp(max=w - 1).long()
                taken = flat.gather(2, index.view(b, 1, -1).expand(-1, c, -1)).view(b, c, 9, h, w)
                found.append(taken * (wy * wx * mask).unsqueeze(1))
        return image + self.mix(sum(found).reshape(b, c * 9, h, w))


@foreign((1, 3, 16, 24))
def deformable() -> nn.Module:
    return Deformable()


class Lookup(nn.Module):
    """A 1-D table of tones per channel, indexed by the quantized picture: SR-LUT and curve estimators do so."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("tones", torch.linspace(0, 1, 33).pow(0.45) * torch.tensor([[1.0], [0.9], [1.1]]))
        self.last = nn.Conv2d(3, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        index = (image.clamp(0, 1) * 32).round().long()
        found = [self.tones[i][index[:, i]] for i in range(3)]
        return self.last(torch.stack(found, 1))


@foreign()
def tone_table() -> nn.Module:
    return Lookup()
