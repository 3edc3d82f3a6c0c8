"""Frames and sequences: one and three spatial axes, recurrent cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Frames(nn.Module):
    """A clip of eight frames, I3D-like (1705.07750)."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv3d(3, dim, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False), nn.BatchNorm3d(dim)
        self.pool1, self.pool2 = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((2, 1, 1), (2, 1, 1))
        self.temporal, self.spatial = (
            nn.Conv3d(dim, dim, (3, 1, 1), 1, (1, 0, 0)),
            nn.Conv3d(dim, 16, (1, 3, 3), 1, (0, 1, 1)),
        )
        self.fc = nn.Linear(16, 2)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        x = self.pool1(F.relu(self.norm(self.stem(clip))))
        x = self.pool2(F.relu(self.temporal(x)) + x)
        return self.fc(F.adaptive_avg_pool3d(F.relu(self.spatial(x)), 1).flatten(1))


@foreign((1, 3, 8, 24, 32))
def frames_3d() -> nn.Module:
    return Frames()


class Stacked(nn.Module):
    """Five frames in one batch axis merged with it: (B, T, C, H, W), 2-D features for each, fusion of all."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.each, self.fuse, self.last = (
            nn.Conv2d(3, dim, 3, 1, 1),
            nn.Conv2d(5 * dim, 16, 1),
            nn.Conv2d(16, 12, 3, 1, 1),
        )

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        b, t, c, h, w = clip.shape
        x = F.leaky_relu(self.each(clip.view(-1, c, h, w)), 0.1).view(b, t, -1, h, w)
        scores = torch.sigmoid((x * x[:, 2:3]).sum(2, keepdim=True))
        x = (x * scores).reshape(b, -1, h, w)
        up = F.interpolate(clip[:, t // 2], scale_factor=2, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(self.last(F.leaky_relu(self.fuse(x), 0.1)), 2) + up


@foreign((1, 5, 3, 16, 24))
def frames_fused() -> nn.Module:
    return Stacked()


class Signal(nn.Module):
    """A 1-D network along rows: Conv1d, pools, transposed, dilated, batch norm."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv1d(3, dim, 5, padding=2), nn.BatchNorm1d(dim)
        self.two, self.up = nn.Conv1d(dim, dim, 3, padding=4, dilation=4), nn.ConvTranspose1d(dim, dim, 4, 2, 1)
        self.last = nn.Conv1d(dim, 3, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.one(rows)))
        x = F.gelu(self.two(F.max_pool1d(x, 2)) + F.avg_pool1d(x, 2))
        return self.last(self.up(x)) + rows


@foreign((1, 3, 64))
def signal_1d() -> nn.Module:
    return Signal()


class Unrolled(nn.Module):
    """A separable ConvGRU over four frames, unrolled, with convex up-sampling of its state's flow."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.dim = dim
        self.embed = nn.Conv2d(3, dim, 3, 2, 1)
        self.z, self.r, self.q = (
            nn.Conv2d(2 * dim, dim, k, padding=p) for k, p in (((1, 5), (0, 2)), ((5, 1), (2, 0)), (3, 1))
        )
        self.flow, self.mask = nn.Conv2d(dim, 2, 3, 1, 1), nn.Conv2d(dim, 9 * 4, 1)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        b, t, _, h, w = clip.shape
        state = clip.new_zeros(b, self.dim, h // 2, w // 2)
        for index in range(t):
            x = self.embed(clip[:, index])
            both = torch.cat([state, x], 1)
            z, r = torch.sigmoid(self.z(both)), torch.sigmoid(self.r(both))
            q = torch.tanh(self.q(torch.cat([r * state, x], 1)))
            state = (1 - z) * state + z * q
        flow, mask = self.flow(state), self.mask(state).view(b, 1, 9, 2, 2, h // 2, w // 2).softmax(2)
        up = F.unfold(2 * flow, [3, 3], padding=1).view(b, 2, 9, 1, 1, h // 2, w // 2)
        return (mask * up).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(b, 2, h, w)


@foreign((1, 4, 3, 16, 24))
def convex_upsampling() -> nn.Module:
    return Unrolled()


class Correlation(nn.Module):
    """Shifted products of two frames (PWC-Net, 1709.02371), leaky, and pixel norm."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.features, self.flow = nn.Conv2d(3, dim, 3, 2, 1), nn.Conv2d(25, 2, 3, 1, 1)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        one, two = (F.normalize(self.features(frame), dim=1) for frame in pair.split(3, dim=1))
        h, w = one.shape[2:]
        padded = F.pad(two, (2, 2, 2, 2))
        volume = [(one * padded[:, :, i : i + h, j : j + w]).mean(1) for i in range(5) for j in range(5)]
        return self.flow(F.leaky_relu(torch.stack(volume, 1), 0.1))


@foreign((1, 6, 24, 32))
def correlation() -> nn.Module:
    return Correlation()
