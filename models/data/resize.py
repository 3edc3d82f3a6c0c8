"""Bicubic downscaling of clean photos to training inputs.

The low-resolution pictures of super resolution are bit-identical to MATLAB's ``imresize(hr, 1/scale, "bicubic")``, as
in the LR files published with Set5 and Set14: a cubic convolution kernel (Keys, a = -0.5) stretched by the scale
(antialiasing), first along rows and then along columns, rounded to 8 bits after each, halves up. The border is
replicated, as by the MATLAB version that made those files; newer ones use symmetric padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from clearport.pictures.images import Image8

_REACH = 4  # low-resolution pixels: more than the kernel's two


def crop_to_multiple(image: Image8, multiple: int) -> Image8:
    """The largest top left crop of ``image`` (H, W, C) whose sides are multiples of ``multiple``."""
    height, width = (n - n % multiple for n in image.shape[:2])
    return image[:height, :width]


def bicubic_downscale(image: Image8, scale: int) -> Image8:
    """Shrink uint8 RGB (H, W, 3), H and W multiples of ``scale``, to (H/scale, W/scale, 3) as MATLAB does."""
    height, width = image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"{height}x{width} is not a multiple of {scale}: use crop_to_multiple first")
    margin = _REACH * scale
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    small = bicubic_resize(padded, height // scale + 2 * _REACH, width // scale + 2 * _REACH)
    return np.ascontiguousarray(small[_REACH:-_REACH, _REACH:-_REACH])


def bicubic_resize(image: Image8, height: int, width: int) -> Image8:
    """Shrink uint8 RGB (H, W, 3) to (height, width, 3), rows first; missing taps at the border are left out."""
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    for size in ((height, image.shape[1]), (height, width)):
        filtered = F.interpolate(pixels, size=size, mode="bicubic", antialias=True)
        pixels = torch.floor(filtered + 0.5).clamp(0, 255)
    return np.ascontiguousarray(pixels[0].to(torch.uint8).permute(1, 2, 0).numpy())
