"""Attacks on watermarks for training: blur, resizing, noise, cropping, JPEG.

All are differentiable. JPEG is a real codec on the CPU, with a straight-through gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch.nn import functional as F

from clearport.models.degradations.camera import through_jpeg

_LEAST_CROP = 0.5


ATTACKS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "none": lambda image: image,
        "JPEG 50": lambda image: jpeg(image, 50),
        "half size": lambda image: resized(image, 0.5),
        "blur 1": lambda image: blurred(image, 1.0),
        "crop": lambda image: cropped(image, 0.4, 0.3, 0.6),
    }
)
"""Attacks of the evaluation: JPEG of quality 50, resizing to one half and back, a Gaussian blur with sigma 1, and a
crop to 0.7 of each side at an unknown position.
"""


def attacked(images: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W) in 0..1, each with an attack drawn from PyTorch's generator; same shape."""
    return torch.cat([_one(image[None]) for image in images])


def _one(image: torch.Tensor) -> torch.Tensor:
    kind = int(torch.randint(0, 6, ()))
    if kind == 0:
        return image
    if kind == 1:
        return blurred(image, float(torch.empty(()).uniform_(0.5, 1.5)))
    if kind == 2:
        return resized(image, float(torch.empty(()).uniform_(0.5, 0.9)))
    if kind == 3:
        return image + 0.03 * torch.randn_like(image)
    if kind == 4:
        return cropped(image, *(float(torch.rand(())) for _ in range(3)))
    return jpeg(image, int(torch.randint(40, 91, ())))


def blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian blur of 9 pixels with reflection padding."""
    places = torch.arange(-4, 5, dtype=image.dtype)
    bell = torch.exp(-0.5 * (places / sigma) ** 2)
    bell = (bell / bell.sum()).expand(3, 1, 1, 9)
    padded = F.pad(image, (4, 4, 4, 4), mode="reflect")
    return F.conv2d(F.conv2d(padded, bell, groups=3), bell.transpose(2, 3), groups=3)


def resized(image: torch.Tensor, factor: float) -> torch.Tensor:
    """Downscale by a factor, and back."""
    height, width = image.shape[-2:]
    small = (max(8, round(height * factor)), max(8, round(width * factor)))
    less = F.interpolate(image, size=small, mode="bilinear", antialias=True)
    return F.interpolate(less, size=(height, width), mode="bicubic").clamp(0.0, 1.0)


def cropped(image: torch.Tensor, size: float, down: float, right: float) -> torch.Tensor:
    """A crop of a picture, moved to its upper left; the rest is gray. ``size``, ``down`` and ``right`` are in 0..1."""
    height, width = image.shape[-2:]
    share = _LEAST_CROP + (1.0 - _LEAST_CROP) * size
    tall, wide = round(height * share), round(width * share)
    top, left = round(down * (height - tall)), round(right * (width - wide))
    part = image[..., top : top + tall, left : left + wide]
    return F.pad(part, (0, width - wide, 0, height - tall), value=0.5)


def jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    """A picture (1, 3, H, W) after JPEG compression."""
    levels = (255.0 * image.detach().clamp(0.0, 1.0)).round().byte()[0].permute(1, 2, 0).cpu().numpy()
    seen = torch.from_numpy(through_jpeg(levels, quality)).to(image.device).permute(2, 0, 1)[None] / 255.0
    return image + (seen - image).detach()
