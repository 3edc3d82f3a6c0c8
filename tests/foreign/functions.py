"""Networks whose activations and arithmetic are rarer ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Activated(nn.Module):
    """A few layers, each with another activation."""

    def __init__(self, *acts: nn.Module, dim: int = 16) -> None:
        super().__init__()
        sizes = [3, *[dim] * (len(acts) - 1)]
        self.layers = nn.ModuleList([nn.Conv2d(n, dim, 3, 1, 1) for n in sizes])
        self.acts, self.last = nn.ModuleList(acts), nn.Conv2d(dim, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = image
        for layer, act in zip(self.layers, self.acts, strict=True):
            x = act(layer(x))
        return self.last(x) + image


@foreign()
def mish_elu_softplus() -> nn.Module:
    return Activated(nn.Mish(), nn.ELU(0.7), nn.Softplus(), nn.Softplus(beta=2.0, threshold=15))


@foreign()
def celu_selu_prelu() -> nn.Module:
    return Activated(nn.CELU(1.3), nn.SELU(), nn.PReLU(16), nn.PReLU(1))


@foreign()
def gelu_tanh_hard() -> nn.Module:
    return Activated(nn.GELU("tanh"), nn.Hardsigmoid(), nn.Hardtanh(-0.5, 0.7), nn.Threshold(0.1, 0.0), nn.Softsign())


@foreign()
def shrinks_and_sigmoids() -> nn.Module:
    return Activated(nn.LogSigmoid(), nn.Softshrink(0.1), nn.Hardshrink(0.1), nn.Tanhshrink(), nn.LeakyReLU())


class Quick(nn.Module):
    """Activations by hand: quick GELU, StarReLU, squared ReLU, GLU, sine."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.two = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 2 * dim, 1)
        self.three, self.four, self.last = nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, 3, 1)
        self.scale, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        x = x * torch.sigmoid(1.702 * x)
        x = F.glu(self.two(x), dim=1)
        x = self.scale * F.relu(self.three(x)) ** 2 + self.bias
        return image + self.last(torch.sin(3.0 * self.four(x)) * 0.5 + torch.rsqrt(x.abs() + 1.0))


@foreign()
def siren_and_glu() -> nn.Module:
    return Quick()


class Decided(nn.Module):
    """Comparisons, masks, logical operators, sign, floor, round and remainders on features."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        bright = (image.mean(1, keepdim=True) > 0.5) & (image.amax(1, keepdim=True) <= 0.95)
        x = torch.where(bright, x, 0.5 * x)
        x = x.masked_fill(x < -0.4, -0.4) + 0.1 * torch.sign(x) + 0.05 * (x >= 0.2).float()
        levels = torch.floor(image * 7.0) / 7.0 + torch.round(image * 3.0) * 0.1
        return self.last(x) + levels + 0.1 * torch.remainder(image * 5.0, 1.0)


@foreign()
def comparisons() -> nn.Module:
    return Decided()


class Retinex(nn.Module):
    """Logarithms, exponentials, powers by a learned number, division by the largest channel, clamps to tensors."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(4, dim, 3, 1, 1), nn.Conv2d(dim, 4, 3, 1, 1)
        self.gamma = nn.Parameter(torch.tensor([0.45]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        largest = torch.max(image, dim=1, keepdim=True)[0]
        out = self.last(F.relu(self.first(torch.cat([image, largest], 1))))
        reflectance, light = torch.sigmoid(out[:, :3]), torch.sigmoid(out[:, 3:4])
        log = torch.log(light + 1e-4) - torch.log(largest + 1e-4)
        bright = torch.pow(light.clamp(min=1e-4), self.gamma) * torch.exp(0.1 * log)
        return torch.minimum(reflectance * bright / (largest + 0.1), torch.ones_like(image))


@foreign()
def retinex() -> nn.Module:
    return Retinex()


class Color(nn.Module):
    """HVI/YCbCr-like color in the network: a matrix, atan2-free hue by max and min, tiles and expands."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.register_buffer(
            "matrix", torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
        )
        self.register_buffer("back", torch.linalg.inv(self.matrix))
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 1, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        ycc = torch.einsum("bchw,dc->bdhw", image, self.matrix)
        y, rest = torch.split(ycc, [1, 2], dim=1)
        y = y + self.last(F.relu(self.first(y.repeat(1, 3, 1, 1))))
        chroma = image.max(1, keepdim=True).values - image.min(1, keepdim=True).values
        ycc = torch.cat([y, rest * (1 + 0.1 * chroma.expand(-1, 2, -1, -1))], 1)
        return torch.tensordot(ycc.permute(0, 2, 3, 1), self.back.t(), dims=1).permute(0, 3, 1, 2)


@foreign()
def color_matrices() -> nn.Module:
    return Color()
