"""Networks that resize in every way."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Cubic(nn.Module):
    """Bicubic up and down, with and without antialias."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(F.interpolate(image, scale_factor=0.5, mode="bicubic", antialias=True)))
        x = self.last(F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False))
        return x + F.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False)


@foreign()
def bicubic() -> nn.Module:
    return Cubic()


class Steps(nn.Module):
    """Factors 1.5, 0.5 and to a size; align_corners; area; nearest to a size; antialiased bilinear."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(F.interpolate(image, scale_factor=1.5, mode="bilinear", align_corners=True))
        low = F.interpolate(x, size=(20, 28), mode="bilinear", align_corners=False, antialias=True)
        area = F.interpolate(x, size=(12, 18), mode="area")
        same = F.interpolate(x, size=(15, 17), mode="nearest-exact")
        x = sum(F.interpolate(t, size=image.shape[-2:], mode="bilinear") for t in (low, area, same))
        return self.last(F.interpolate(x, scale_factor=2, mode="nearest"))


@foreign((1, 3, 32, 48))
def resizes() -> nn.Module:
    return Steps()


class Laplacian(nn.Module):
    """A Laplacian pyramid (LPTN) by a Gaussian kernel, reflect pads and zeros between pixels."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        self.register_buffer("kernel", torch.outer(row, row)[None, None].repeat(3, 1, 1, 1))
        self.low = nn.Sequential(
            nn.Conv2d(3, dim, 3, 1, 1), nn.InstanceNorm2d(dim), nn.LeakyReLU(), nn.Conv2d(dim, 3, 1)
        )

    def blur(self, image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), self.kernel, groups=3)

    def up(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        cc = torch.cat([x, torch.zeros(b, c, h, w)], dim=3).view(b, c, 2 * h, w).permute(0, 1, 3, 2)
        cc = torch.cat([cc, torch.zeros(b, c, w, 2 * h)], dim=3)
        return self.blur(4 * cc.view(b, c, 2 * w, 2 * h).permute(0, 1, 3, 2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        low = self.blur(image)[:, :, ::2, ::2]
        high = image - self.up(low)
        return self.up(low + torch.tanh(self.low(low))) + high


@foreign()
def laplacian_pyramid() -> nn.Module:
    return Laplacian()


class Transposed(nn.Module):
    """Transposed convolutions: grouped, depthwise, dilated, with output padding, larger strides than kernels."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, dim, 3, 2, 1)
        self.grouped = nn.ConvTranspose2d(dim, dim, 4, 2, 1, groups=4)
        self.dilated = nn.ConvTranspose2d(dim, dim, 3, 1, 2, dilation=2)
        self.depthwise = nn.ConvTranspose2d(dim, dim, 3, 2, 1, output_padding=1, groups=dim, bias=False)
        self.last = nn.ConvTranspose2d(dim, 3, 2, 3, 0, output_padding=(1, 0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(image))
        x = F.relu(self.dilated(self.grouped(x)))
        return self.last(self.depthwise(x))


@foreign((1, 3, 12, 16))
def transposed_convolutions() -> nn.Module:
    return Transposed()
