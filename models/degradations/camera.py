"""Camera: downscaled, blurred, noisy, compressed pictures, as from the pipeline of real cameras and phones.

The order is that of BSRGAN (arXiv 2103.14006) and Real-ESRGAN (arXiv 2107.10833), each stage at random strength or
left out: an anisotropic Gaussian blur (lens, motion, missing focus), the reduction, shot and read noise (variance
a·x + b, arXiv 1811.11127), partly removed by a blur as a camera's own denoiser does, a sharpening halo, and JPEG. At
scale 1 it is the training input of a denoiser.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from clearport.models.data.degrade import Degraded
from clearport.models.data.resize import bicubic_downscale

if TYPE_CHECKING:
    from clearport.base import Float32
    from clearport.pictures.images import Image8

_REACH = 4


class Camera:
    """Degrades a photo and downscales it by ``scale``; strengths are drawn from the generator of each call."""

    reduces = True

    def __init__(self, seed: int, scale: int) -> None:
        del seed
        self.scale = scale

    def __call__(self, photo: Image8, rng: np.random.Generator) -> Degraded:
        """uint8 RGB (H, W, 3), H and W multiples of the scale, to (H/scale, W/scale, 3)."""
        picture = photo.astype(np.float32)
        if rng.random() < 0.8:
            picture = convolved(picture, blur_kernel(rng, 0.25 * self.scale, 0.8 * self.scale))
        small = to_8bit(picture)
        small = bicubic_downscale(small, self.scale) if self.scale > 1 else small
        picture = with_noise(small.astype(np.float32), rng)
        if rng.random() < 0.3:
            picture = convolved(picture, blur_kernel(rng, 0.3, 0.7))
        if rng.random() < 0.3:
            soft = convolved(picture, blur_kernel(rng, 0.8, 1.2))
            picture = picture + float(rng.uniform(0.2, 0.8)) * (picture - soft)
        made = to_8bit(picture)
        return Degraded(through_jpeg(made, int(rng.integers(40, 96))) if rng.random() < 0.8 else made)


def blur_kernel(rng: np.random.Generator, thinnest: float, widest: float) -> Float32:
    """An anisotropic Gaussian kernel (9, 9) with sum 1 and both sigmas in ``thinnest``..``widest`` pixels."""
    sigmas, turn = rng.uniform(thinnest, widest, 2), rng.uniform(0, np.pi)
    y, x = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    kernel = np.exp(-0.5 * ((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def with_noise(levels: Float32, rng: np.random.Generator) -> Float32:
    """8-bit levels (H, W, 3) with shot noise, whose variance is proportional to the signal, and read noise."""
    shot, read = float(rng.uniform(0.0, 0.6)), float(rng.uniform(0.0, 6.0))
    sigma = np.sqrt(shot * np.clip(levels, 0.0, 255.0) + read**2)
    noise = rng.standard_normal(levels.shape, dtype=np.float32)
    return np.asarray(levels + sigma * noise, np.float32)


def through_jpeg(picture: Image8, quality: int) -> Image8:
    """A picture after JPEG compression (4:2:0) with ``quality`` 1..95."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=quality)
    return np.array(Image.open(file).convert("RGB"), dtype=np.uint8)


def to_8bit(levels: Float32) -> Image8:
    """Clipped and rounded."""
    made: Image8 = np.rint(np.clip(levels, 0.0, 255.0)).astype(np.uint8)
    return made


def convolved(picture: Float32, kernel: Float32) -> Float32:
    """Convolve (H, W, 3) with a kernel (k, k), with reflection padding."""
    import torch
    from torch.nn import functional as F

    reach = min(len(kernel) // 2, min(picture.shape[:2]) - 1)
    inner = slice(len(kernel) // 2 - reach, len(kernel) // 2 + reach + 1)
    taps = torch.from_numpy(np.ascontiguousarray(kernel[inner, inner] / kernel[inner, inner].sum()))
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[:, None]
    made = F.conv2d(F.pad(planes, (reach,) * 4, mode="reflect"), taps[None, None])
    return np.asarray(made[:, 0].permute(1, 2, 0).numpy(), np.float32)


DEGRADER = Camera
