"""Quality of a restored picture against its ground truth, each figure with its protocol.

PSNR is that of ``clearport.models.metrics``, which training uses; capped, so that a mean over pictures stays finite.
SSIM is Wang et al. 2004 on the luma of BT.601: Gaussian window of 11x11 with sigma 1.5, population covariance, data
range 255, as in MATLAB's ``ssim`` on ``rgb2ycbcr``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.models.metrics import Space, luma
from clearport.models.metrics import psnr_db as uncapped_psnr_db

if TYPE_CHECKING:
    from clearport.pictures.images import Image8

PSNR_CAP_DB = 100.0
"""Score of equal pictures, whose infinite PSNR could not be averaged."""

SSIM_WINDOW = 11


def psnr_db(restored: Image8, truth: Image8, border: int, space: Space) -> float:
    """PSNR in dB of two uint8 RGB pictures (H, W, 3), ``border`` pixels cut on every side, at most ``PSNR_CAP_DB``.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    return min(uncapped_psnr_db(restored, truth, border, space), PSNR_CAP_DB)


def ssim(restored: Image8, truth: Image8, border: int) -> float | None:
    """SSIM of the luma of two uint8 RGB pictures (H, W, 3); None where the window does not fit inside the border."""
    from skimage.metrics import structural_similarity

    height, width = truth.shape[:2]
    if min(height, width) - 2 * border < SSIM_WINDOW:
        return None
    left, right = luma(_inside(restored, border)), luma(_inside(truth, border))
    value = structural_similarity(
        left, right, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255.0
    )
    return float(value)


def channel_means(image: Image8, border: int) -> tuple[float, float, float]:
    """Means of R, G and B inside the border, in levels of 255."""
    red, green, blue = _inside(image, border).mean((0, 1), dtype=float)
    return float(red), float(green), float(blue)


def clipped_share(image: Image8, border: int) -> float:
    """The share (0..1) of values at either end of the range inside the border."""
    inside = _inside(image, border)
    return float(((inside == 0) | (inside == 255)).mean())


def _inside(image: Image8, border: int) -> Image8:
    height, width = image.shape[:2]
    return image[border : height - border, border : width - border]
