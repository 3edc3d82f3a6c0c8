"""Generators and diffusion networks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Residual(nn.Module):
    """CUT's block (2007.15651)."""

    def __init__(self, dim: int, affine: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim, affine=affine), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim, affine=affine),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Blur(nn.Module):
    """Antialiased down-sampling and up-sampling by a fixed kernel, as in CUT."""

    def __init__(self, dim: int, up: bool) -> None:
        super().__init__()
        kernel = torch.tensor([1.0, 3.0, 3.0, 1.0] if up else [1.0, 2.0, 1.0])
        kernel = torch.outer(kernel, kernel)
        self.up, self.dim = up, dim
        self.register_buffer("kernel", (kernel / kernel.sum() * (4 if up else 1))[None, None].repeat(dim, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.up:
            x = F.pad(x, (1, 1, 1, 1), "replicate")
            return F.conv_transpose2d(x, self.kernel, stride=2, padding=2, groups=self.dim)[:, :, 1:, 1:][
                :, :, :-1, :-1
            ]
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), self.kernel, stride=2, groups=self.dim)


@foreign()
def cut_generator() -> nn.Module:
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, 16, 7), nn.InstanceNorm2d(16), nn.ReLU(True), nn.Conv2d(16, 24, 3, 1, 1),
        nn.InstanceNorm2d(24, affine=True), nn.ReLU(True), Blur(24, False), Residual(24, False), Residual(24, True),
        Blur(24, True), nn.Conv2d(24, 16, 3, 1, 1), nn.ReLU(True), nn.ReflectionPad2d(3), nn.Conv2d(16, 3, 7),
        nn.Tanh(),
    )  # fmt: skip


class Diffusion(nn.Module):
    """A U-Net with group norm, attention and a time embedding whose step is a channel of the input."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.dim = dim
        self.time = nn.Sequential(nn.Linear(dim, 32), nn.SiLU(), nn.Linear(32, 2 * dim))
        self.first, self.norm1, self.conv1 = (
            nn.Conv2d(3, dim, 3, 1, 1),
            nn.GroupNorm(4, dim),
            nn.Conv2d(dim, dim, 3, 1, 1),
        )
        self.norm2, self.conv2 = nn.GroupNorm(4, dim), nn.Conv2d(dim, dim, 3, 1, 1)
        self.down, self.up = nn.Conv2d(dim, dim, 3, 2, 1), nn.Conv2d(dim, dim, 3, 1, 1)
        self.norm3, self.qkv, self.proj = nn.GroupNorm(4, dim), nn.Conv1d(dim, 3 * dim, 1), nn.Conv1d(dim, dim, 1)
        self.norm4, self.last = nn.GroupNorm(4, dim), nn.Conv2d(dim, 3, 3, 1, 1)

    def embedding(self, steps: torch.Tensor) -> torch.Tensor:
        half = self.dim // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
        args = steps[:, None].float() * frequencies[None]
        return torch.cat([torch.cos(args), torch.sin(args)], dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time = self.time(self.embedding(x.mean(dim=(1, 2, 3)) * 10.0))
        scale, shift = time[:, :, None, None].chunk(2, dim=1)
        x = self.first(x)
        y = self.conv1(F.silu(self.norm1(x)))
        x = x + self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))
        low = self.down(x)
        b, c, h, w = low.shape
        q, k, v = self.qkv(self.norm3(low).reshape(b, c, -1)).chunk(3, dim=1)
        scores = torch.einsum("bct,bcs->bts", q * c**-0.25, k * c**-0.25).softmax(-1)
        low = low + self.proj(torch.einsum("bts,bcs->bct", scores, v)).reshape(b, c, h, w)
        x = x + self.up(F.interpolate(low, scale_factor=2.0, mode="nearest"))
        return self.last(F.silu(self.norm4(x)))


@foreign((1, 3, 16, 24))
def diffusion_unet() -> nn.Module:
    return Diffusion()


class Modulated(nn.Module):
    """StyleGAN2's modulation in its static form, on a style from the picture; pixel norm; up-sampling by blur."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.style = nn.Sequential(nn.Linear(3, 32), nn.LeakyReLU(0.2), nn.Linear(32, dim))
        self.constant = nn.Parameter(torch.randn(1, dim, 4, 6))
        self.weight, self.to_rgb = nn.Parameter(torch.randn(dim, dim, 3, 3)), nn.Conv2d(dim, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        z = image.mean((2, 3))
        z = z * torch.rsqrt(torch.mean(z**2, dim=1, keepdim=True) + 1e-8)
        s = self.style(z)[:, :, None, None]
        d = torch.rsqrt(torch.matmul(s.flatten(1) ** 2, self.weight.square().sum((2, 3)).t()) + 1e-8)
        x = self.constant.repeat(image.shape[0], 1, 1, 1)
        x = F.conv2d(x * s, self.weight, padding=1) * d[:, :, None, None]
        x = F.interpolate(F.leaky_relu(x, 0.2) * math.sqrt(2), scale_factor=8, mode="bilinear", align_corners=False)
        return self.to_rgb(x) + image


@foreign()
def style_static() -> nn.Module:
    return Modulated()


class AdaIN(nn.Module):
    """Adaptive instance norm (1703.06868) and SPADE-like modulation by a resized map."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.content, self.style = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(3, dim, 3, 2, 1)
        self.norm, self.gamma, self.beta = (
            nn.BatchNorm2d(dim, affine=False),
            nn.Conv2d(3, dim, 3, 1, 1),
            nn.Conv2d(3, dim, 1),
        )
        self.last = nn.Conv2d(dim, 3, 3, 1, 1)

    @staticmethod
    def statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        b, c = x.size()[:2]
        flat = x.view(b, c, -1)
        return flat.mean(dim=2).view(b, c, 1, 1), (flat.var(dim=2) + 1e-5).sqrt().view(b, c, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        content, style = self.content(image), self.style(image.flip(3))
        size = content.size()
        (mean, std), (wanted, spread) = self.statistics(content), self.statistics(style)
        x = (content - mean.expand(size)) / std.expand(size) * spread.expand(size) + wanted.expand(size)
        small = F.interpolate(image, size=(16, 16), mode="nearest")
        small = F.interpolate(small, size=content.shape[2:], mode="nearest")
        return self.last(self.norm(x) * (1 + self.gamma(small)) + self.beta(small))


@foreign()
def adain_spade() -> nn.Module:
    return AdaIN()


@foreign((1, 3, 16, 16))
def dcgan_encoder_decoder() -> nn.Module:
    """Strided and transposed convolutions with every kind of padding, a linear bottleneck, view."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 24, 5, 2, 2), nn.BatchNorm2d(24), nn.Flatten(),
        nn.Linear(24 * 16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 24 * 16), nn.Unflatten(1, (24, 4, 4)),
        nn.ConvTranspose2d(24, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 3, 3, 1, 1),
        nn.Sigmoid(),
    )  # fmt: skip
