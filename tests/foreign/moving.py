"""Networks that move pixels about: shuffles, wavelets, pads, rolls, tables."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Haar(nn.Module):
    """MWCNN (1805.07071): the wavelet by slices down, by writing into zeros up."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(12, dim, 3, 1, 1), nn.ReLU(), nn.Conv2d(dim, 12, 3, 1, 1))

    @staticmethod
    def forth(x: torch.Tensor) -> torch.Tensor:
        x01, x02 = x[:, :, 0::2, :] / 2, x[:, :, 1::2, :] / 2
        x1, x2, x3, x4 = x01[:, :, :, 0::2], x02[:, :, :, 0::2], x01[:, :, :, 1::2], x02[:, :, :, 1::2]
        return torch.cat((x1 + x2 + x3 + x4, -x1 - x2 + x3 + x4, -x1 + x2 - x3 + x4, x1 - x2 - x3 + x4), 1)

    @staticmethod
    def back(x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.size()
        c = c // 4
        x1, x2, x3, x4 = (x[:, i * c : (i + 1) * c] / 2 for i in range(4))
        out = torch.zeros([b, c, 2 * h, 2 * w]).float()
        out[:, :, 0::2, 0::2] = x1 - x2 - x3 + x4
        out[:, :, 1::2, 0::2] = x1 - x2 + x3 - x4
        out[:, :, 0::2, 1::2] = x1 + x2 - x3 - x4
        out[:, :, 1::2, 1::2] = x1 + x2 + x3 + x4
        return out

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.back(self.body(self.forth(image))) + image


@foreign()
def haar_slices() -> nn.Module:
    return Haar()


class HaarConv(nn.Module):
    """The same by a strided grouped convolution and its transposed one."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        signs = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).float() / 2
        self.register_buffer("kernel", signs.view(4, 1, 2, 2).repeat(3, 1, 1, 1))
        self.body = nn.Sequential(nn.Conv2d(12, dim, 3, 1, 1), nn.ReLU(), nn.Conv2d(dim, 12, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(image, self.kernel, stride=2, groups=3)
        return F.conv_transpose2d(self.body(x) + x, self.kernel, stride=2, groups=3)


@foreign()
def haar_convolution() -> nn.Module:
    return HaarConv()


class Unshuffled(nn.Module):
    """FFDNet (1710.04026): pixel unshuffle by view, a noise level map beside it; focus by strided slices."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.focus, self.body = nn.Conv2d(12, dim, 3, 1, 1), nn.Conv2d(dim + 13, 12, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        b, c, h, w = image.shape
        x = image.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).contiguous().view(b, 4 * c, h // 2, w // 2)
        level = torch.full((b, 1, h // 2, w // 2), 0.1)
        parts = [image[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
        focus = F.relu(self.focus(torch.cat(parts, 1)))
        return F.pixel_shuffle(self.body(torch.cat([x, level, focus], 1)), 2)


@foreign()
def ffdnet() -> nn.Module:
    return Unshuffled()


class Padded(nn.Module):
    """Every kind of padding, a negative one, and crops from the middle."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, dim, 3, padding=1, padding_mode="circular")
        self.b = nn.Conv2d(dim, dim, 5, padding=2, padding_mode="replicate")
        self.c = nn.Conv2d(dim, dim, 3, padding=1, padding_mode="reflect")
        self.last = nn.Conv2d(dim, 3, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.a(image))
        x = F.relu(self.b(F.pad(x, (-2, -1, -3, 0))))
        x = self.c(F.pad(x, (2, 1, 0, 3), value=0.25))
        x = F.pad(x, (3, 0, 2, 1), mode="circular")
        return self.last(x)[:, :, 1:, 2:] + image[:, :, :32, :47]


@foreign()
def pads() -> nn.Module:
    return Padded()


class Table(nn.Module):
    """Constant tables: channels picked in another order, rows by index, a flip, a roll, a cumulative sum."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.register_buffer("order", torch.randperm(dim, generator=torch.Generator().manual_seed(1)))
        self.positions = nn.Embedding(64, dim)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image[:, [2, 1, 0]])
        x = torch.index_select(x, 1, self.order) + x[:, self.order]
        h, w = x.shape[2:]
        rows = self.positions(torch.arange(h)).t()[None, :, :, None]
        columns = self.positions(torch.arange(w)).t()[None, :, None, :]
        x = x + rows + columns
        x = x + torch.flip(x, [3]) + torch.roll(x, 5, 2) + torch.rot90(torch.rot90(x, 1, [2, 3]), 1, [2, 3])
        return self.last(x) + 0.01 * torch.cumsum(image, dim=3)


@foreign()
def tables() -> nn.Module:
    return Table()


class Involution(nn.Module):
    """Kernels from the picture (2103.06255): unfold, products, sum; the guided filter's box sums beside it."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.kernel, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 4 * 9, 1), nn.Conv2d(dim, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        b, c, h, w = x.shape
        weight = self.kernel(F.relu(x)).view(b, 4, 9, h, w).unsqueeze(2)
        patches = F.unfold(x, 3, padding=1).view(b, 4, c // 4, 9, h, w)
        y = (weight * patches).sum(dim=3).view(b, c, h, w)
        mean = F.avg_pool2d(image, 5, 1, 2, count_include_pad=False)
        variance = F.avg_pool2d(image * image, 5, 1, 2) - mean * mean
        return self.last(y) + mean * variance / (variance.abs() + 0.01)


@foreign()
def involution() -> nn.Module:
    return Involution()


class Kernels(nn.Module):
    """A kernel prediction network (KPN) with softmax over taps, one fold, and depthwise Sobel edges."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.taps = nn.Conv2d(9, dim, 3, 1, 1), nn.Conv2d(dim, 25, 1)
        sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        self.register_buffer("edges", torch.stack([sobel, sobel.t()]).repeat(3, 1, 1)[:, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        edges = F.conv2d(image, self.edges, padding=1, groups=3)
        taps = self.taps(F.relu(self.first(torch.cat([image, edges], 1)))).softmax(1)
        padded = F.pad(image, (2, 2, 2, 2), "replicate")
        h, w = image.shape[2:]
        found = [padded[:, :, i : i + h, j : j + w] for i in range(5) for j in range(5)]
        stack = torch.stack(found, dim=1)
        return (stack * taps.unsqueeze(2)).sum(1)


@foreign()
def kernel_prediction() -> nn.Module:
    return Kernels()


class Fourier(nn.Module):
    """A Fourier unit (FFC, LaMa: 2109.07161): convolutions of the real and imaginary halves of a spectrum."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.first, self.inner, self.last = (
            nn.Conv2d(3, dim, 3, 1, 1),
            nn.Conv2d(2 * dim, 2 * dim, 1),
            nn.Conv2d(dim, 3, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        spectrum = torch.fft.rfft2(x, norm="ortho")
        y = F.relu(self.inner(torch.cat([spectrum.real, spectrum.imag], 1)))
        real, imaginary = torch.chunk(y, 2, dim=1)
        back = torch.fft.irfft2(torch.complex(real, imaginary), s=x.shape[-2:], norm="ortho")
        return image + self.last(x + back)


@foreign()
def fourier() -> nn.Module:
    return Fourier()
