"""Attention in windows: the same as with a transpose of six axes, and shifted windows keep strangers apart."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from clearport.models.layers.windows import SIDE, WindowAttention, apart, cut, joined


def natural(layer: WindowAttention, picture: torch.Tensor) -> torch.Tensor:
    """Shifted-window attention as Swin writes it, each pixel with a look-up of its own for whom it may look at."""
    batch, height, width, channels = picture.shape
    moved = torch.roll(picture, (-4, -4), (1, 2)) if layer.shifted else picture
    windows = (
        moved.view(batch, height // 8, 8, width // 8, 8, channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, 64, channels)
    )
    qkv = layer.qkv(windows).view(-1, 64, 3, layer.heads, channels // layer.heads).permute(2, 0, 3, 1, 4)
    scores = qkv[0] @ qkv[1].transpose(2, 3) / (channels // layer.heads) ** 0.5
    for head in range(layer.heads):
        for a in range(64):
            for b in range(64):
                dy, dx = a // 8 - b // 8 + 7, a % 8 - b % 8 + 7
                scores[:, head, a, b] += layer.near[15 * dy + dx, head]
    if layer.shifted:
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        # a pixel that was rolled over an edge is no neighbor of one that was not
        wrapped = torch.stack((y >= height - 4, x >= width - 4), -1).view(height // 8, 8, width // 8, 8, 2)
        wrapped = wrapped.permute(0, 2, 1, 3, 4).reshape(-1, 64, 2)
        strangers = (wrapped[:, :, None] != wrapped[:, None]).any(-1)
        scores = scores.masked_fill(strangers.repeat(batch, 1, 1)[:, None], -100.0 + 0.0)
    seen = (F.softmax(scores, -1) @ qkv[2]).transpose(1, 2).reshape(-1, 64, channels)
    found = layer.project(seen).view(batch, height // 8, width // 8, 8, 8, channels)
    found = found.permute(0, 1, 3, 2, 4, 5).reshape(picture.shape)
    return torch.roll(found, (4, 4), (1, 2)) if layer.shifted else found


@torch.inference_mode()
def test_it_is_what_six_axes_compute() -> None:
    torch.manual_seed(0)
    picture = torch.randn(2, 16, 24, 6)
    assert torch.equal(joined(cut(picture), 16, 24), picture)
    for shifted in (False, True):
        layer = WindowAttention(6, 2, shifted=shifted)
        torch.nn.init.normal_(layer.near)
        assert torch.allclose(layer(picture), natural(layer, picture), atol=1e-5)


def test_only_the_last_windows_of_a_shifted_picture_are_divided() -> None:
    for rows in (True, False):
        mask = apart(24, rows=rows)
        assert mask.shape == (3, 1, SIDE * SIDE, SIDE * SIDE)
        assert (mask < 0).flatten(1).float().mean(1).tolist() == [0.0, 0.0, 0.5]
