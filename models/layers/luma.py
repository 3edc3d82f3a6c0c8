"""Super resolution of the luma only, in a network with RGB input and output.

    image ─┬─ luma (1x1) ─ network ─ s² channels ─ repeated for R, G and B (1x1) ─ PixelShuffle ─┐
           └─ color: image less luma (1x1) ─ bilinear ──────────────────────────────────────── add ─ clip

Luma is Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, full range). A pixel minus its luma is its color, and adding the
same value to R, G and B changes only the luma, so this is equivalent to conversion to YCbCr and back.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

_LUMA = (0.299, 0.587, 0.114)


class OverLuma(nn.Module):
    """RGB image (B, 3, H, W) float32 in 0..1 to (B, 3, H*scale, W*scale) in 0..1.

    ``luma_to_parts`` takes (B, 1, H, W) luma to (B, scale², H, W): the enlarged luma in the channel order of
    PixelShuffle. In training mode the output is not clipped.
    """

    luma: torch.Tensor
    color: torch.Tensor
    spread: torch.Tensor

    def __init__(self, scale: int, luma_to_parts: nn.Module) -> None:
        super().__init__()
        self.scale, self.luma_to_parts = scale, luma_to_parts
        self.upsample = nn.PixelShuffle(scale)
        luma = torch.tensor(_LUMA)
        self.register_buffer("luma", luma[None, :, None, None], persistent=False)
        self.register_buffer("color", (torch.eye(3) - luma.expand(3, 3))[..., None, None], persistent=False)
        spread = torch.eye(scale * scale).repeat(3, 1)[..., None, None]
        self.register_buffer("spread", spread, persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        parts = self.luma_to_parts(F.conv2d(image, self.luma))
        detail: torch.Tensor = self.upsample(F.conv2d(parts, self.spread.to(parts.dtype)))
        color = F.conv2d(image, self.color)
        wide = F.interpolate(color, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
        restored = detail + wide
        return restored if self.training else restored.clamp(0.0, 1.0)
