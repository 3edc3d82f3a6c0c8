"""The generator of StyleGAN2 (arXiv 1912.04958) with modulated convolutions in a form that every target supports.

The published form multiplies the kernel by the style of each picture; TFLite does not support computed kernels. The
equivalent form has a constant kernel between two multiplications per channel:

    conv(x * s, W) * d,  d = rsqrt(s^2 @ sum over the kernel of W^2 + 1e-8),  s = linear(code)

Kernels are kept with the published scales of their learning rates multiplied in. The activation's gain of sqrt(2) is
in the factors, noise and bias before it.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

CODE = 512
"""Dimensions of a code; a picture has one code per style of the generator."""
_GAIN, _SLOPE = math.sqrt(2.0), 0.2
_LEAST = 4
_MAPPED = 8


def widths(size: int, most: int, numbers: int) -> dict[int, int]:
    """Side of a map -> channels: ``numbers`` divided by the side, at most ``most``."""
    return {2**n: min(most, numbers >> n) for n in range(2, int(math.log2(size)) + 1)}


def styles(size: int) -> int:
    """Number of codes of a picture of side ``size``."""
    return 2 * int(math.log2(size)) - 2


class Modulated(nn.Module):
    """Features (B, C, h, w) and a code (B, 512) to (B, D, h, w), twice as large if ``larger``."""

    blur: torch.Tensor

    def __init__(self, taken: int, given: int, kernel: int, *, demodulated: bool, larger: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(given, taken, kernel, kernel) / math.sqrt(taken * kernel**2))
        self.style = nn.Linear(CODE, taken)
        nn.init.normal_(self.style.weight, std=1.0 / math.sqrt(CODE))
        nn.init.ones_(self.style.bias)
        self.demodulated, self.larger = demodulated, larger
        if larger:
            self.register_buffer("blur", smooth().repeat(given, 1, 1, 1), persistent=False)

    def forward(self, features: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        style = self.style(code)
        found = features * style[:, :, None, None]
        if self.larger:
            found = F.conv_transpose2d(found, self.weight.transpose(0, 1), stride=2)
            found = F.conv2d(found, self.blur, padding=1, groups=len(self.blur))
        else:
            found = F.conv2d(found, self.weight, padding=self.weight.shape[-1] // 2)
        if not self.demodulated:
            return found
        energy = F.linear(style.square(), self.weight.square().sum(dim=(2, 3)))
        return found * (_GAIN * torch.rsqrt(energy + 1e-8))[:, :, None, None]


def smooth() -> torch.Tensor:
    """The blur kernel (4, 4) after zero-insertion upsampling; its sum is 4."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4.0
    return torch.outer(line, line)


class Styled(nn.Module):
    """A modulated 3x3 convolution, fixed noise (1, 1, h, w), bias, leaky ReLU."""

    noise: torch.Tensor

    def __init__(self, taken: int, given: int, side: int, *, larger: bool = False) -> None:
        super().__init__()
        self.conv = Modulated(taken, given, 3, demodulated=True, larger=larger)
        self.strength, self.bias = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(given))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, features: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        found = self.conv(features, code) + (_GAIN * self.strength) * self.noise
        return F.leaky_relu(found + (_GAIN * self.bias)[:, None, None], _SLOPE)


class ToRgb(nn.Module):
    """Features (B, C, h, w) and a code to RGB, added to the picture of half the size."""

    larger: torch.Tensor

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.conv, self.bias = Modulated(taken, 3, 1, demodulated=False), nn.Parameter(torch.zeros(3))
        kernel = torch.zeros(3, 3, 4, 4)
        kernel[range(3), range(3)] = smooth()
        self.register_buffer("larger", kernel, persistent=False)

    def forward(self, features: torch.Tensor, code: torch.Tensor, smaller: torch.Tensor | None) -> torch.Tensor:
        found: torch.Tensor = self.conv(features, code) + self.bias[:, None, None]
        return found if smaller is None else found + F.conv_transpose2d(smaller, self.larger, stride=2, padding=1)


class Generator(nn.Module):
    """Codes (B, N, 512) to RGB (B, 3, size, size) in -1..1; not clipped in training mode.

    Args:
        size: side of the pictures, a power of two; N is ``styles(size)``.
        most: channels of the widest maps; 512 in the paper.
        numbers: channels times side of the others; 32,768 in the paper (config F).
    """

    def __init__(self, size: int, most: int, numbers: int) -> None:
        super().__init__()
        channels = widths(size, most, numbers)
        self.start = nn.Parameter(torch.randn(1, channels[_LEAST], _LEAST, _LEAST))
        self.layers = nn.ModuleList([Styled(channels[_LEAST], channels[_LEAST], _LEAST)])
        self.rgb = nn.ModuleList([ToRgb(channels[_LEAST])])
        for side in list(channels)[1:]:
            self.layers.append(Styled(channels[side // 2], channels[side], side, larger=True))
            self.layers.append(Styled(channels[side], channels[side], side))
            self.rgb.append(ToRgb(channels[side]))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        each = [codes.narrow(1, number, 1).flatten(1) for number in range(codes.shape[1])]
        found = self.layers[0](self.start, each[0])
        picture = self.rgb[0](found, each[1], None)
        for level in range(1, len(self.rgb)):
            found = self.layers[2 * level - 1](found, each[2 * level - 1])
            found = self.layers[2 * level](found, each[2 * level])
            picture = self.rgb[level](found, each[2 * level + 1], picture)
        clipped: torch.Tensor = picture if self.training else picture.clamp(-1.0, 1.0)
        return clipped


class Mapping(nn.Module):
    """Noise (B, 512) to codes (B, 512): eight linear layers. Used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(CODE, CODE) for _ in range(_MAPPED))
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=1.0 / math.sqrt(CODE))
            nn.init.zeros_(layer.bias)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        found = noise * torch.rsqrt(noise.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            found = _GAIN * F.leaky_relu(layer(found), _SLOPE)
        return found


@torch.no_grad()
def mean_code(mapping: Mapping, drawn: int = 256) -> torch.Tensor:
    """The mean code of a mapping, (1, 1, 512), from which encoders start; deterministic."""
    noise = torch.randn(drawn, CODE, generator=torch.Generator().manual_seed(0))
    mean: torch.Tensor = mapping(noise).mean(dim=0).reshape(1, 1, CODE)
    return mean
