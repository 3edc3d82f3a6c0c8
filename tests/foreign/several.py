"""Networks of several inputs or outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .convolutional import UNet
from .zoo import foreign


class Exposures(nn.Module):
    """Three exposures to HDR with attention (AHDRNet, 1904.10293)."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.encode = nn.Conv2d(3, dim, 3, 1, 1)
        self.attend = nn.Sequential(
            nn.Conv2d(2 * dim, dim, 3, 1, 1), nn.LeakyReLU(), nn.Conv2d(dim, dim, 3, 1, 1), nn.Sigmoid()
        )
        self.fuse, self.last = nn.Conv2d(3 * dim, dim, 3, 1, 2, dilation=2), nn.Conv2d(dim, 3, 3, 1, 1)

    def forward(self, short: torch.Tensor, middle: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
        a, b, c = (F.leaky_relu(self.encode(x)) for x in (short, middle, long))
        a, c = a * self.attend(torch.cat((a, b), 1)), c * self.attend(torch.cat((c, b), 1))
        return torch.sigmoid(self.last(F.relu(self.fuse(torch.cat((a, b, c), 1))) + b))


@foreign(*[(1, 3, 24, 32)] * 3)
def hdr_three() -> nn.Module:
    return Exposures()


class Two(nn.Module):
    """A restored picture and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.body = UNet(3, 4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.body(image)
        mask = torch.sigmoid(out[:, 3:])
        return image * (1 - mask) + out[:, :3] * mask, mask


@foreign()
def picture_and_mask() -> nn.Module:
    return Two()


class Recurrent(nn.Module):
    """A frame and the state of those before it, to a frame and the next state."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.body, self.last = nn.Conv2d(3 + dim, dim, 3, 1, 1), nn.Conv2d(dim, 12, 3, 1, 1)

    def forward(self, frame: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.tanh(self.body(torch.cat([frame, state], 1)))
        return F.pixel_shuffle(self.last(state), 2) + F.interpolate(frame, scale_factor=2, mode="bilinear"), state


@foreign((1, 3, 24, 32), (1, 16, 24, 32))
def recurrent_state() -> nn.Module:
    return Recurrent()


class Conditioned(nn.Module):
    """A picture, a depth map of its own size and a vector that shifts and scales (FiLM, 1709.07871)."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last, self.film = nn.Conv2d(4, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1), nn.Linear(5, 2 * dim)

    def forward(self, image: torch.Tensor, depth: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        gain, shift = self.film(code)[:, :, None, None].chunk(2, 1)
        return image + self.last(F.silu(self.first(torch.cat([image, depth], 1)) * gain + shift))


@foreign((1, 3, 24, 32), (1, 1, 24, 32), (1, 5))
def conditioned() -> nn.Module:
    return Conditioned()
