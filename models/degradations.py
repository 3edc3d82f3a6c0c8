"""How training inputs are made from clean photos.

The low-resolution pictures of super resolution are MATLAB's ``imresize(hr, 1/scale, "bicubic")``: a cubic
convolution kernel (Keys, a = -0.5) stretched by the scale (antialiasing), then rounded to 8 bit. Torch's
antialiased bicubic filter is the same one. Two things differ from MATLAB: beyond the border MATLAB mirrors
the picture while torch leaves the missing taps out and renormalises the rest (which reaches two output
pixels inwards), and MATLAB rounds halves up while here they go to the even level. PIL's BICUBIC is this
filter too, with fixed-point arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from clearport.images import Image8


def crop_to_multiple(image: Image8, multiple: int) -> Image8:
    """The top left part of ``image`` (H, W, C) whose height and width are multiples of ``multiple``."""
    height, width = (n - n % multiple for n in image.shape[:2])
    return image[:height, :width]


def bicubic_downscale(image: Image8, scale: int) -> Image8:
    """Shrink uint8 RGB (H, W, 3), H and W multiples of ``scale``, to (H/scale, W/scale, 3) by antialiased bicubic."""
    height, width = image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"{height}x{width} is not a multiple of {scale}: use crop_to_multiple first")
    return bicubic_resize(image, height // scale, width // scale)


def bicubic_resize(image: Image8, height: int, width: int) -> Image8:
    """Shrink uint8 RGB (H, W, 3) to (height, width, 3) by antialiased bicubic, rounded to 8 bit."""
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    small = F.interpolate(pixels, size=(height, width), mode="bicubic", antialias=True)
    levels = small[0].round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())
