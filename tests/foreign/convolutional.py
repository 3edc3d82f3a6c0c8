"""Convolutional restorers and segmenters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from .zoo import foreign


class LayerNorm2d(nn.Module):
    """NAFNet's, over channels by mean and var."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        y = (x - mean) / (variance + 1e-6).sqrt()
        return self.weight.view(1, -1, 1, 1) * y + self.bias.view(1, -1, 1, 1)


class NAFBlock(nn.Module):
    """2204.04676."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm2d(dim), LayerNorm2d(dim)
        self.conv1, self.conv2 = nn.Conv2d(dim, 2 * dim, 1), nn.Conv2d(2 * dim, 2 * dim, 3, 1, 1, groups=2 * dim)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, dim, 1))
        self.conv3, self.conv4, self.conv5 = nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, 2 * dim, 1), nn.Conv2d(dim, dim, 1)
        self.beta, self.gamma = nn.Parameter(torch.ones(1, dim, 1, 1)), nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.conv2(self.conv1(self.norm1(x))).chunk(2, dim=1)
        gated = one * two
        y = x + self.conv3(gated * self.sca(gated)) * self.beta
        one, two = self.conv4(self.norm2(y)).chunk(2, dim=1)
        return y + self.conv5(one * two) * self.gamma


class NAFNet(nn.Module):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.enc, self.mid, self.dec = NAFBlock(dim), NAFBlock(2 * dim), NAFBlock(dim)
        self.down = nn.Conv2d(dim, 2 * dim, 2, 2)
        self.up = nn.Sequential(nn.Conv2d(2 * dim, 4 * dim, 1, bias=False), nn.PixelShuffle(2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        h, w = image.shape[2:]
        padded = F.pad(image, (0, -w % 4, 0, -h % 4))
        kept = self.enc(self.first(padded))
        x = self.dec(self.up(self.mid(self.down(kept))) + kept)
        return (self.last(x) + padded)[:, :, :h, :w]


@foreign((1, 3, 30, 45))
def nafnet() -> nn.Module:
    return NAFNet()


class UNet(nn.Module):
    """1505.04597 with batch norm; ``grow`` makes a level twice as large."""

    def __init__(self, given: int, made: int, dim: int = 16, transposed: bool = True) -> None:
        super().__init__()
        self.one, self.two = self.double(given, dim), self.double(dim, 2 * dim)
        self.three, self.four = self.double(2 * dim, 4 * dim), self.double(4 * dim, 2 * dim)
        self.five, self.last = self.double(2 * dim, dim), nn.Conv2d(dim, made, 1)
        self.up1, self.up2 = self.grow(4 * dim, 2 * dim, transposed), self.grow(2 * dim, dim, transposed)

    @staticmethod
    def double(given: int, made: int) -> nn.Module:
        layers = [layer for n in (given, made) for layer in (
            nn.Conv2d(n, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
        )]  # fmt: skip
        return nn.Sequential(*layers)

    @staticmethod
    def grow(given: int, made: int, transposed: bool) -> nn.Module:
        if transposed:
            return nn.ConvTranspose2d(given, made, 2, stride=2)
        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        return nn.Sequential(up, nn.Conv2d(given, made, 1))

    def joined(self, up: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        dy, dx = kept.size(2) - up.size(2), kept.size(3) - up.size(3)
        up = F.pad(up, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return torch.cat([kept, up], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = self.one(x)
        two = self.two(F.max_pool2d(one, 2))
        x = self.up1(self.three(F.max_pool2d(two, 2)))
        x = self.up2(self.four(self.joined(x, two)))
        return self.last(self.five(self.joined(x, one)))


@foreign((1, 3, 30, 45))
def unet() -> nn.Module:
    return UNet(3, 3)


@foreign((1, 1, 32, 48))
def unet_gray() -> nn.Module:
    return nn.Sequential(UNet(1, 1, transposed=False), nn.Sigmoid())


class MPRStage(nn.Module):
    """A stage of MPRNet (2102.02808): channel attention, U with bilinear steps, supervised attention."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, dim, 3, 1, 1, bias=False)
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 3, 1, 1), nn.PReLU(), nn.Conv2d(dim, dim, 3, 1, 1))
        self.attend = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, 4, 1), nn.ReLU(), nn.Conv2d(4, dim, 1), nn.Sigmoid()
        )
        self.down = nn.Sequential(nn.Upsample(scale_factor=0.5, mode="bilinear"), nn.Conv2d(dim, 24, 1))
        self.up = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(24, dim, 1))
        self.to_image, self.to_gate = nn.Conv2d(dim, 3, 1), nn.Conv2d(3, dim, 1)
        self.last = nn.Conv2d(dim, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        top, bottom = image[:, :, : image.size(2) // 2, :], image[:, :, image.size(2) // 2 :, :]
        x = torch.cat([self.first(top), self.first(bottom)], 2)
        y = self.body(x)
        x = x + y * self.attend(y)
        x = x + self.up(self.down(x))
        restored = self.to_image(x) + image
        return self.last(x + x * torch.sigmoid(self.to_gate(restored))) + restored


@foreign()
def mprnet() -> nn.Module:
    return MPRStage()


class ConvNeXt(nn.Module):
    """2201.03545: NHWC inside, a scale per channel, patch stem."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, dim, 4, 4), nn.LayerNorm(dim, eps=1e-6)
        self.depthwise, self.norm = nn.Conv2d(dim, dim, 7, padding=3, groups=dim), nn.LayerNorm(dim, eps=1e-6)
        self.one, self.two = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(0.1 * torch.ones(dim))
        self.head_norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem_norm(self.stem(image).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        x = x + (self.gamma * self.two(F.gelu(self.one(y)))).permute(0, 3, 1, 2)
        return self.head(self.head_norm(x.mean([-2, -1])))


@foreign()
def convnext() -> nn.Module:
    return ConvNeXt()


class Normalized(nn.Module):
    """Kernels under weight norm (WDSR, 1808.08718) and spectral norm (the U-Net discriminator of Real-ESRGAN)."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv2d(3, dim, 3, padding=1))
        self.body = nn.Sequential(
            weight_norm(nn.Conv2d(dim, 64, 1)), nn.ReLU(), weight_norm(nn.Conv2d(64, dim, 3, 1, 1))
        )
        self.deep = spectral_norm(nn.Conv2d(dim, dim, 4, 2, 1, bias=False))
        self.tail = weight_norm(nn.Conv2d(dim, 12, 3, padding=1, bias=False))
        self.skip = weight_norm(nn.Conv2d(3, 12, 5, padding=2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image - 0.45)
        x = x + self.body(x)
        x = x + F.interpolate(F.leaky_relu(self.deep(x), 0.2), scale_factor=2, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(self.tail(x) + self.skip(image - 0.45), 2) + 0.45


@foreign()
def weight_normed() -> nn.Module:
    return Normalized()


class Curves(nn.Module):
    """Zero-DCE++ (2103.00860): curves at half size, eight rounds."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.one, self.two = self.separable(3, dim), self.separable(dim, dim)
        self.three = self.separable(2 * dim, 3)

    @staticmethod
    def separable(given: int, made: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(given, given, 3, 1, 1, groups=given), nn.Conv2d(given, made, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        low = F.interpolate(image, scale_factor=1 / 2, mode="bilinear")
        one = F.relu(self.one(low))
        two = F.relu(self.two(one))
        curve = F.interpolate(torch.tanh(self.three(torch.cat([one, two], 1))), scale_factor=2, mode="bilinear")
        for _ in range(8):
            image = image + curve * (torch.pow(image, 2) - image)
        return image


@foreign()
def zero_dce() -> nn.Module:
    return Curves()


class Dense(nn.Module):
    """Residual dense block with recursive learning and shared weights; scale 1.5 by resize."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.layers = nn.ModuleList([nn.Conv2d(dim * (i + 1), dim, 3, 1, 1) for i in range(3)])
        self.fuse = nn.Conv2d(dim * 4, dim, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        for _ in range(2):
            found = [x]
            for layer in self.layers:
                found.append(F.leaky_relu(layer(torch.cat(found, 1)), 0.2, inplace=True))
            x = x + 0.2 * self.fuse(torch.cat(found, 1))
        up = F.interpolate(x, scale_factor=1.5, mode="nearest")
        return self.last(up) + F.interpolate(image, scale_factor=1.5, mode="bilinear", align_corners=False)


@foreign()
def dense_x1_5() -> nn.Module:
    return Dense()


class Raw(nn.Module):
    """Learning to see in the dark (1805.01934): four planes of a Bayer pattern to RGB twice as large."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, dim, 3, padding=1), nn.Conv2d(dim, 2 * dim, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * dim, dim, 2, stride=2)
        self.three, self.last = nn.Conv2d(2 * dim, dim, 3, padding=1), nn.Conv2d(dim, 12, 1)

    @staticmethod
    def lrelu(x: torch.Tensor) -> torch.Tensor:
        return torch.max(0.2 * x, x)

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        one = self.lrelu(self.one(raw))
        two = self.lrelu(self.two(F.max_pool2d(one, 2)))
        x = self.lrelu(self.three(torch.cat([self.up(two), one], 1)))
        return F.pixel_shuffle(self.last(x), 2)


@foreign((1, 4, 24, 32))
def raw_to_rgb() -> nn.Module:
    return Raw()


@foreign((1, 14, 24, 32))
def burst_of_fourteen() -> nn.Module:
    """Frames as channels, grouped kernels, dilations and a squeeze."""
    return nn.Sequential(
        nn.Conv2d(14, 28, 3, 1, 2, dilation=2, groups=14), nn.ELU(), nn.Conv2d(28, 16, 1), nn.GroupNorm(4, 16),
        nn.SiLU(), nn.Conv2d(16, 16, 3, 1, 4, dilation=4, padding_mode="reflect"), nn.ReLU6(), nn.Conv2d(16, 3, 1),
    )  # fmt: skip
