"""Gamma correction by Taylor series: x^γ from multiplications, additions and clips, after arXiv 2308.08220.

The paper replaces the power by the Taylor series of exp(γ ln x). It leaves open how ln x is computed, and a truncated
series of exp(γ ln x) turns black into gray. Here

    x^γ = x · exp((γ-1) ln x)

so that black stays black and γ = 1 is the identity for any truncation. With c_k = clip(3^k x, 1, 3), k = 1..4, a pixel
from 3^-4 (three gray levels) to 1 is 3^-4 · c_1 ··· c_4, since at most one factor is strictly within its range. So

    ln x = -4 ln 3 + Σ p(c_k),    p(c) = ln(3)/2 (c-1) + b (c-1)(3-c)

where p, a parabola approximating ln on 1..3, exact at both ends, has an error of at most 0.025. exp(v) is T(v/8)^8,
where T is its Taylor polynomial of order 2. For x >= 3^-4 the error is at most 0.013 for γ of 0.4 to 2, and 0.03 for
0.25. Below, the curve is linear to black, like that of sRGB: the slope of a power is unbounded there, and would amplify
noise. The curve is monotonic.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

_RATIO = 3.0
_FACTORS = 4
_BULGE = 0.145  # b: minimizes the error of the power at γ = 0.4


class TaylorGamma(nn.Module):
    """x (B, 3, H, W) in 0..1 and γ, positive, (B, 1 or 3, H or 1, W or 1) to x^γ in 0..1; no parameters."""

    spread: torch.Tensor
    slopes: torch.Tensor
    bulges: torch.Tensor
    start: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        colors = torch.eye(3)
        powers = [colors * _RATIO**k for k in range(1, _FACTORS + 1)]
        slope = math.log(_RATIO) / (_RATIO - 1.0) + _BULGE * (1.0 + _RATIO)
        constant = -math.log(_RATIO) / (_RATIO - 1.0) - _BULGE * _RATIO
        start = _FACTORS * (constant - math.log(_RATIO))
        self.register_buffer("spread", torch.cat(powers)[..., None, None], persistent=False)
        self.register_buffer("slopes", slope * colors.repeat(1, _FACTORS)[..., None, None], persistent=False)
        self.register_buffer("bulges", -_BULGE * colors.repeat(1, _FACTORS)[..., None, None], persistent=False)
        self.register_buffer("start", torch.full((3,), start), persistent=False)

    def logarithm(self, x: torch.Tensor) -> torch.Tensor:
        """ln x for x in 3^-4..1; below, that of 3^-4."""
        factors = F.conv2d(x, self.spread).clamp(1.0, _RATIO)  # (B, 12, H, W)
        return F.conv2d(factors, self.slopes, self.start) + F.conv2d(factors * factors, self.bulges)

    def forward(self, x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        part = (gamma - 1.0) * 0.125 * self.logarithm(x)
        power = 1.0 + part * (1.0 + 0.5 * part)
        for _ in range(3):
            power = power * power
        return x * power
