"""IAGC, the mobile form: learned gamma, coarse to fine, by Taylor series (after arXiv 2308.08220).

    image ── mean of 4x4 ─┬─ three strided convolutions ── global mean ── coarse γ of the picture
                          └─ coarse gamma correction ── U-Net, dilated and global context ── fine γ, gain, offset
    image ── power of coarse γ · fine γ ── · gain + offset ──┬──────────────────── add ── clip
                                         image ── concat ───┴─ three convolutions ─┘

The paper learns γ "in a coarse to elaborate manner" and lets dark areas borrow from far ones by attention over all
pixels. Here one γ for the picture comes from a global mean, so that what follows sees every picture at about the same
exposure, and far areas are reached by dilated convolutions and another global mean at 1/8 of the size: no softmax, no
exponential (see ``layers.gamma``), no division. Gain and offset, smooth like γ, correct color and haze; the three
convolutions at half size take away the noise and the compression artifacts that brightening shows. γ, gain and offset
are bilinear enlargements of maps at a quarter of the size: they are smooth, and cannot outline an object with a halo.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from clearport.model_spec import ModelSpec, Paper
from clearport.models.layers.gamma import TaylorGamma
from clearport.models.training.outputs import Restored

_DILATIONS = (1, 2, 4, 8)


class Coarse(nn.Module):
    """Picture (B, 3, h, w) in 0..1 to one γ (B, 1, 1, 1) in 0.2..1.2; 0.5 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ((3, 16), (16, 24), (24, 32)))
        self.mix = nn.Conv2d(32, 32, 1)
        self.gamma = _constant(32, 1, -0.85, kernel=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = image
        for convolution in self.encoder:
            features = F.relu(convolution(features))
        summary = F.relu(self.mix(F.adaptive_avg_pool2d(features, 1)))
        return 0.2 + torch.sigmoid(self.gamma(summary))


class Context(nn.Module):
    """Adds what a depthwise convolution of some dilation and a pointwise one find; (B, C, h, w) to the same."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width)
        self.inner = nn.Conv2d(width, width, 1)
        self.outer = nn.Conv2d(width, width, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.outer(F.relu(self.inner(self.depthwise(features))))
        return F.relu(features + found)


class Fine(nn.Module):
    """The picture before and after the coarse correction, (B, 6, h, w) with h and w even, to γ, gain and offset.

    They are (B, 1, h, w), (B, 3, h, w) and (B, 3, h, w). Each has its own convolution, hence its own int8 scale.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        half = width // 2
        self.head = nn.Conv2d(6, half, 3, padding=1)
        self.down = nn.Conv2d(half, width, 3, stride=2, padding=1)
        self.context = nn.ModuleList(Context(width, dilation) for dilation in _DILATIONS)
        self.summary = nn.Conv2d(width, width, 1)
        self.again = nn.ModuleList(Context(width, dilation) for dilation in _DILATIONS)
        self.up = nn.Conv2d(width, half, 1)
        self.merge = nn.Conv2d(half, half, 3, padding=1)
        self.maps = nn.ModuleList(
            _constant(half, channels, start) for channels, start in ((1, 0.0), (3, 1.0), (3, 0.0))
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        near = F.relu(self.head(images))
        far = F.relu(self.down(near))
        for block in self.context:
            far = block(far)
        far = far + self.summary(F.adaptive_avg_pool2d(far, 1))
        for block in self.again:
            far = block(far)
        enlarged = F.interpolate(self.up(far), scale_factor=2, mode="bilinear")
        merged = F.relu(self.merge(F.relu(near + enlarged)))
        gamma, gain, offset = (convolution(merged) for convolution in self.maps)
        return 0.4 + 1.2 * torch.sigmoid(gamma), gain, offset


class Refine(nn.Module):
    """Brightened and original picture (B, 6, H, W), H and W even, to a correction (B, 3, H, W); zero at the start."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.head = nn.Conv2d(6, width, 3, stride=2, padding=1)
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.tail = _constant(width, 12, 0.0)
        self.upsample = nn.PixelShuffle(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        correction: torch.Tensor = self.upsample(self.tail(F.relu(self.body(F.relu(self.head(images))))))
        return correction


class Iagc(nn.Module):
    """Dark RGB image (B, 3, H, W) float32 in 0..1 to a well-lit one; H and W are multiples of 8.

    In training mode it gives ``Restored`` with the coarsely corrected picture, a quarter of the size, as auxiliary
    picture and the map ``gamma`` (B, 1, H, W); the image is not clipped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.power = TaylorGamma()
        self.coarse = Coarse()
        self.fine = Fine()
        self.refine = Refine()

    def forward(self, image: torch.Tensor) -> torch.Tensor | Restored:
        small = F.avg_pool2d(image, 4)
        coarse = self.coarse(small)
        corrected = self.power(small, coarse)
        fine, gain, offset = self.fine(torch.cat((corrected, small), dim=1))
        gamma, gain, offset = (F.interpolate(m, scale_factor=4, mode="bilinear") for m in (coarse * fine, gain, offset))
        brightened = self.power(image, gamma) * gain + offset
        result: torch.Tensor = brightened + self.refine(torch.cat((brightened, image), dim=1))
        if self.training:
            return Restored(result, (corrected,), {"gamma": gamma})
        return result.clamp(0.0, 1.0)


def _constant(inputs: int, outputs: int, value: float, kernel: int = 3) -> nn.Conv2d:
    """A convolution initialized to output ``value`` everywhere."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.weight)
    nn.init.constant_(convolution.bias, value)
    return convolution


def build(scale: int) -> Iagc:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return Iagc().eval()


SPEC = ModelSpec(
    name="iagc",
    task="low-light",
    build=build,
    scales=(1,),
    default_scale=1,
    size_multiple=8,
    halo=64,  # means over the whole picture set the exposure; this hides the seams of the dilated convolutions
    whole_picture=True,
    value_range=(0.0, 1.0),
    paper=Paper("Low-Light Image Enhancement with Illumination-Aware Gamma Correction", "2308.08220"),
    recipe={"loss": "l1 + 0.2*ssim", "patch": 256, "batch": 8, "lr": 2e-3},
    recommended=True,
    license="CC-BY-NC-4.0",  # the license of SICE, on which the bundled weights were trained
)
