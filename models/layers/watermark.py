"""An invisible watermark of 32 bits, after robust identity watermarking (arXiv 2311.01357).

That paper embeds a string into a face with an encoder and recovers it with a decoder, trained jointly through simulated
manipulations. It has no public code, so encoder and decoder here are another design, spread spectrum with learned
patterns: bits are summed to a pattern of 16x16 pixels that repeats over the picture, with a strength that depends on
the picture's masking.

    bits ── linear ── 3x16x16 ── repeated ─┐
    picture ── three convolutions ─ mask ─ · ── add ── marked picture

    picture ── less its blur and what convolutions find of its content ── mean over all repetitions, 3x16x16
            ── correlation with 33 patterns at all 256 shifts ── where the 33rd is found: 32 bits

A crop shifts the pattern. The 33rd pattern, which is in every mark, determines the shift: a softmax over its
correlations weights those of the bits. The result is independent of the mark's position, and every pixel contributes to
every bit.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from clearport.models.layers.attacks import attacked
from clearport.models.training.outputs import Restored

BITS, PERIOD = 32, 16
STRENGTH = 10.0 / 255.0
"""Maximum change of a pixel."""

_RMS = 3.5 / 255.0
_SYNC = 5.0
"""Strength of the synchronization pattern relative to a bit's."""
_CLIP = 8.0 / 255.0
"""Clipping limit of the residual content, so that edges do not dominate."""


def patterns() -> torch.Tensor:
    """Initial patterns (33, 3, 16, 16), orthogonal, with unit RMS: smooth periodic noise without a mean.

    They are mostly luma, which JPEG preserves better than chroma.
    """
    noise = torch.randn(BITS + 1, 1, PERIOD, PERIOD) + 0.3 * torch.randn(BITS + 1, 3, PERIOD, PERIOD)
    frequency = torch.fft.fftfreq(PERIOD)
    radius = torch.sqrt(frequency[:, None] ** 2 + frequency[None] ** 2)
    band = torch.exp(-((radius - 0.16) ** 2) / (2 * 0.08**2)) * (radius > 0)
    smooth = torch.fft.ifft2(torch.fft.fft2(noise) * band).real
    basis, _ = torch.linalg.qr(smooth.flatten(1).T)
    unit: torch.Tensor = basis.T.reshape(smooth.shape) * math.sqrt(smooth[0].numel())
    return unit


class Embedder(nn.Module):
    """Picture (1, 3, H, W) in 0..1, H and W multiples of 16, and bits (1, 32) of 0 and 1 to the marked picture."""

    def __init__(self, fresh: torch.Tensor) -> None:
        super().__init__()
        scale = _RMS / STRENGTH / math.sqrt(BITS + _SYNC**2)
        flat = fresh.flatten(1) * scale
        self.pattern = nn.Linear(BITS, 3 * PERIOD * PERIOD)
        self.pattern.weight = nn.Parameter(2.0 * flat[:BITS].T.contiguous())  # for bits 0 and 1 instead of -1 and 1
        self.pattern.bias = nn.Parameter(_SYNC * flat[BITS] - flat[:BITS].sum(dim=0))
        self.mask = nn.ModuleList((nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)))
        self.strength = nn.Conv2d(16, 1, 3, padding=1)
        nn.init.zeros_(self.strength.weight)
        assert self.strength.bias is not None
        nn.init.constant_(self.strength.bias, 2.0)

    def forward(self, picture: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        height, width = (n // PERIOD for n in picture.shape[-2:])
        tile = torch.tanh(self.pattern(bits)).reshape(-1, 3, PERIOD, PERIOD)
        row = torch.cat([tile] * width, dim=3)
        whole = torch.cat([row] * height, dim=2)
        seen = picture
        for convolution in self.mask:
            seen = F.relu(convolution(seen))
        mark = STRENGTH * torch.sigmoid(self.strength(seen)) * whole
        marked: torch.Tensor = picture + mark
        return marked if self.training else marked.clamp(0.0, 1.0)


class Reader(nn.Module):
    """Picture (1, 3, H, W) in 0..1, H and W multiples of 16, to one logit per bit (1, 32)."""

    def __init__(self, fresh: torch.Tensor) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 5, padding=2, groups=3, bias=False)
        nn.init.constant_(self.blur.weight, 1.0 / 25.0)
        self.content = nn.ModuleList((nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)))
        self.guess = nn.Conv2d(16, 3, 3, padding=1)
        nn.init.zeros_(self.guess.weight)
        assert self.guess.bias is not None
        nn.init.zeros_(self.guess.bias)
        gain = math.sqrt(BITS + _SYNC**2) / _RMS / fresh[0].numel()
        self.correlate = nn.Conv2d(3, BITS, PERIOD, bias=False)
        self.correlate.weight = nn.Parameter(2.0 * gain * fresh[:BITS])
        self.place = nn.Conv2d(3, 1, PERIOD, bias=False)
        self.place.weight = nn.Parameter(8.0 * gain * fresh[BITS:])

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        seen = picture
        for convolution in self.content:
            seen = F.relu(convolution(seen))
        rest = (picture - self.blur(picture) - self.guess(seen)).clamp(-_CLIP, _CLIP)
        around = wrapped(folded(rest))
        weights = self.place(around).flatten(1).softmax(dim=1)[:, None]  # (B, 1, 256)
        found: torch.Tensor = (self.correlate(around).flatten(2) * weights).sum(dim=2)
        return found


def folded(values: torch.Tensor) -> torch.Tensor:
    """The mean over all repetitions of the pattern: (B, C, H, W) to (B, C, 16, 16)."""
    for axis in (2, 3):
        parts = [values.narrow(axis, start, PERIOD) for start in range(0, values.shape[axis], PERIOD)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        values = total * (1.0 / len(parts))
    return values


def wrapped(tile: torch.Tensor) -> torch.Tensor:
    """A periodic tile (B, C, 16, 16) extended to (B, C, 31, 31), so that a 16x16 kernel has every shift once."""
    across = torch.cat((tile, tile[..., : PERIOD - 1]), dim=3)
    return torch.cat((across, across[:, :, : PERIOD - 1]), dim=2)


class Watermark(nn.Module):
    """Both parts, which are trained jointly and share a file of weights; ``reads`` selects the exported one.

    In training mode it returns ``Restored``: the marked picture, and the map ``bits`` (B, 32), logits read after an
    attack.
    """

    def __init__(self, *, reads: bool) -> None:
        super().__init__()
        fresh = patterns()
        self.embedder, self.reader, self.reads = Embedder(fresh), Reader(fresh), reads

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | Restored:
        if self.training:
            marked = self.embedder(*inputs)
            return Restored(marked, maps={"bits": self.reader(attacked(marked))})
        found: torch.Tensor = self.deploy()(*inputs)
        return found

    def deploy(self) -> nn.Module:
        """The exported part."""
        return self.reader if self.reads else self.embedder
