"""CEN-HDR in a small form: three exposures to one picture of high dynamic range (after arXiv 2205.12633, track 2).

    each frame ── stem 4x4, stride 2 ── 3x3 (shared weights)        s, m, l at half size
    s, m ── attention ── · s        l, m ── attention ── · l        (what moved or clipped is masked)
    concat ── 1x1 ── three dilated residual 3x3 ── 3x3 ── shuffle ── concat medium, short ── 3x3 ──┐
    medium · 4^(-1/2.2) ──────────────────────────────────────────────────────────────────── add ── clip

The bracket is -2, 0 and +2 EV. The medium exposure is the reference for motion. Since pixels are a power of light, a
frame aligned in exposure is a multiple of the frame, so aligned copies, which the challenge's networks have as further
channels, would add no information. The output is linear light, where 1 is the clipping point of the short exposure,
four times the medium one's; to the power of 1/2.2 the medium frame is a constant multiple of the output, which is the
skip.

CEN-HDR's attention also has a branch of global means. Here the receptive field is limited to 25 pixels, so that tiles
of a picture are equal to the whole. In int8 files everything up to the last convolution is int8; the addition is float,
so that the output has more levels than 256. It takes 19.6 G multiply-accumulates at 720x1280.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import TensorSpec
from clearport.model_spec import ModelSpec, Paper
from clearport.pictures.light import GAMMA

STOPS = 2.0
"""Stops between the short and the medium exposure, and between the medium and the long one."""

_WIDTH, _BODY, _SHUFFLED = 24, 40, 8
_DILATIONS = (1, 2, 4)


class Attention(nn.Module):
    """Features of a frame and of the reference, (B, C, h, w) each, to a mask of the frame's in 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(2 * width, 16, 1)
        self.look = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.mask = nn.Conv2d(16, width, 1)

    def forward(self, frame: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        seen = F.relu(self.reduce(torch.cat((frame, reference), dim=1)))
        return torch.sigmoid(self.mask(F.relu(self.look(seen))))


class CenHdr(nn.Module):
    """Three pictures (B, 3, H, W) in 0..1, H and W even, at -2, 0 and +2 EV, to (B, 3, H, W) in 0..1.

    The result is linear light to the power of 1/2.2; in training mode it is not clipped. 71,581 parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _WIDTH, 4, stride=2, padding=1)
        self.features = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.short_mask, self.long_mask = Attention(_WIDTH), Attention(_WIDTH)
        self.fuse = nn.Conv2d(3 * _WIDTH, _BODY, 1)
        self.body = nn.ModuleList(nn.Conv2d(_BODY, _BODY, 3, padding=d, dilation=d) for d in _DILATIONS)
        self.up = nn.Conv2d(_BODY, 4 * _SHUFFLED, 3, padding=1)
        self.tail = nn.Conv2d(_SHUFFLED + 6, 3, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # the medium frame passes, as light, at the start
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

    def forward(self, short: torch.Tensor, medium: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
        first, middle, last = (F.relu(self.features(F.relu(self.stem(frame)))) for frame in (short, medium, long))
        masked = (first * self.short_mask(first, middle), middle, last * self.long_mask(last, middle))
        found = F.relu(self.fuse(torch.cat(masked, dim=1)))
        for convolution in self.body:
            found = F.relu(found + convolution(found))
        fine = F.pixel_shuffle(F.relu(self.up(found)), 2)
        light: torch.Tensor = self.tail(torch.cat((fine, medium, short), dim=1)) + 2.0 ** (-STOPS / GAMMA) * medium
        return light if self.training else light.clamp(0.0, 1.0)


def build(scale: int) -> CenHdr:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return CenHdr().eval()


_UNIT = (0.0, 1.0)

SPEC = ModelSpec(
    name="cenhdr",
    task="hdr",
    build=build,
    scales=(1,),
    default_scale=1,
    halo=26,  # the receptive field is 25, and tiles start on even pixels
    size_multiple=2,
    value_range=_UNIT,
    recommended=True,
    paper=Paper("NTIRE 2022 Challenge on High Dynamic Range Imaging: Methods and Results", "2205.12633"),
    inputs=tuple(TensorSpec(name, (1, 3, "H", "W"), value_range=_UNIT) for name in ("short", "medium", "long")),
    outputs=(TensorSpec("hdr", (1, 3, "H", "W"), kind="map", value_range=_UNIT, transfer="gamma-2.2"),),
    recipe={"degradation": "exposures", "loss": "mu-law + 0.2*l1", "patch": 64, "batch": 8, "bias_unit": 1.0},
)
