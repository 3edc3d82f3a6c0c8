"""Transformers whose attention looks at windows, as their authors write them: roll, six axes, tables of biases."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


def partition(x: torch.Tensor, side: int) -> torch.Tensor:
    """(B, H, W, C) to (windows, side*side, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // side, side, w // side, side, c)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, side * side, c)


def merged(windows: torch.Tensor, side: int, h: int, w: int) -> torch.Tensor:
    """The way back."""
    b = windows.shape[0] // (h * w // side // side)
    x = windows.view(b, h // side, w // side, side, side, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, -1)


def positions(side: int) -> torch.Tensor:
    """Swin's index into the table of relative biases."""
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
    offsets = (grid[:, :, None] - grid[:, None, :]).permute(1, 2, 0) + side - 1
    return offsets[:, :, 0] * (2 * side - 1) + offsets[:, :, 1]


class WindowAttention(nn.Module):
    """W-MSA of arXiv 2103.14030, as in its repository and in SwinIR's."""

    def __init__(self, dim: int, side: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale, self.side = heads, (dim // heads) ** -0.5, side
        self.table = nn.Parameter(torch.randn((2 * side - 1) ** 2, heads) * 0.1)
        self.register_buffer("index", positions(side))
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = (q * self.scale) @ k.transpose(-2, -1)
        bias = self.table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1).contiguous()
        scores = scores + bias.unsqueeze(0)
        if mask is not None:
            count = mask.shape[0]
            scores = scores.view(b // count, count, self.heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, self.heads, n, n)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))


class SwinBlock(nn.Module):
    """A block with or without a cyclic shift; the mask is computed in the forward pass, as SwinIR does for any size."""

    def __init__(self, dim: int, side: int, heads: int, shift: int) -> None:
        super().__init__()
        self.side, self.shift = side, shift
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, side, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def mask(self, h: int, w: int) -> torch.Tensor:
        image = torch.zeros((1, h, w, 1))
        count = 0
        places = (slice(0, -self.side), slice(-self.side, -self.shift), slice(-self.shift, None))
        for rows in places:
            for columns in places:
                image[:, rows, columns, :] = count
                count += 1
        windows = partition(image, self.side).view(-1, self.side * self.side)
        mask = windows.unsqueeze(1) - windows.unsqueeze(2)
        return mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        (h, w), (b, _, c) = size, x.shape
        kept, x = x, self.norm1(x).view(b, h, w, c)
        if self.shift:
            x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        windows = self.attention(partition(x, self.side), self.mask(h, w) if self.shift else None)
        x = merged(windows.view(-1, self.side, self.side, c), self.side, h, w)
        if self.shift:
            x = torch.roll(x, shifts=(self.shift, self.shift), dims=(1, 2))
        x = kept + x.view(b, h * w, c)
        return x + self.mlp(self.norm2(x))


class SwinRestorer(nn.Module):
    """SwinIR (2108.10257) with one residual group and pixel shuffle."""

    def __init__(self, scale: int = 2, dim: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, dim, 3, 1, 1)
        self.blocks = nn.ModuleList([SwinBlock(dim, 8, 2, 0), SwinBlock(dim, 8, 2, 4)])
        self.norm, self.conv = nn.LayerNorm(dim), nn.Conv2d(dim, dim, 3, 1, 1)
        self.up = nn.Sequential(nn.Conv2d(dim, 3 * scale**2, 3, 1, 1), nn.PixelShuffle(scale))
        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        x = F.pad(x, (0, (8 - w % 8) % 8, 0, (8 - h % 8) % 8), "reflect")
        first = self.first(x - self.mean)
        size = (first.shape[2], first.shape[3])
        tokens = first.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, size)
        deep = self.norm(tokens).transpose(1, 2).view(-1, first.shape[1], *size)
        return (self.up(self.conv(deep) + first) + self.mean)[:, :, : 2 * h, : 2 * w]


@foreign()
def swinir() -> nn.Module:
    return SwinRestorer()


@foreign((1, 3, 29, 43))
def swinir_padded() -> nn.Module:
    return SwinRestorer()


class OverlappingAttention(nn.Module):
    """HAT's cross attention (2205.04437): keys from windows half as large again, by unfold."""

    def __init__(self, dim: int = 16, side: int = 8) -> None:
        super().__init__()
        self.side, self.larger, self.heads = side, side + side // 2, 2
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.norm, self.qkv, self.proj = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.unfold = nn.Unfold(self.larger, stride=side, padding=(self.larger - side) // 2)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, 4, 1), nn.ReLU(), nn.Conv2d(4, dim, 1), nn.Sigmoid()
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        b, c, h, w = first.shape
        x = self.norm(first.permute(0, 2, 3, 1))
        qkv = self.qkv(x).reshape(b, h, w, 3, c).permute(3, 0, 4, 1, 2)
        q = partition(qkv[0].permute(0, 2, 3, 1), self.side)
        kv = self.unfold(torch.cat((qkv[1], qkv[2]), 1))
        count = kv.shape[-1]
        kv = kv.view(b, 2, c, self.larger**2, count).permute(1, 0, 4, 3, 2).reshape(2, b * count, self.larger**2, c)
        k, v = kv[0], kv[1]
        q, k, v = (t.reshape(t.shape[0], t.shape[1], self.heads, -1).permute(0, 2, 1, 3) for t in (q, k, v))
        scores = (q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)
        out = (F.softmax(scores, -1) @ v).transpose(1, 2).reshape(-1, self.side, self.side, c)
        deep = self.proj(merged(out, self.side, h, w)).permute(0, 3, 1, 2)
        return image + self.last(first + deep * self.gate(first))


@foreign()
def hat() -> nn.Module:
    return OverlappingAttention()


class GroupedWindows(nn.Module):
    """ELAN (2203.06697): shifts of channel groups, then attention in windows without biases, by einops' axes."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 12, 3, 1, 1)
        self.conv1, self.conv2 = nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1)
        self.inside, self.outside = nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1)
        self.norm = nn.BatchNorm2d(dim)

    def shifted(self, x: torch.Tensor) -> torch.Tensor:
        g = x.shape[1] // 5
        out = torch.zeros_like(x)
        out[:, :g, :, :-1] = x[:, :g, :, 1:]
        out[:, g : 2 * g, :, 1:] = x[:, g : 2 * g, :, :-1]
        out[:, 2 * g : 3 * g, :-1, :] = x[:, 2 * g : 3 * g, 1:, :]
        out[:, 3 * g : 4 * g, 1:, :] = x[:, 3 * g : 4 * g, :-1, :]
        out[:, 4 * g :] = x[:, 4 * g :]
        return out

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        x = x + self.conv2(self.shifted(F.relu(self.conv1(self.shifted(x)))))
        b, c, h, w = x.shape
        side, kept = 4, x
        x = torch.roll(self.norm(self.inside(x)), shifts=(-2, -2), dims=(2, 3))
        q = x.view(b, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1).reshape(-1, side * side, c)
        scores = (q @ q.transpose(-2, -1)).softmax(dim=-1)
        y = (scores @ q).view(b, h // side, w // side, side, side, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, h, w)
        y = torch.roll(y, shifts=(2, 2), dims=(2, 3))
        return F.pixel_shuffle(self.last(kept + self.outside(y)), 2)


@foreign()
def elan() -> nn.Module:
    return GroupedWindows()


class LeWin(nn.Module):
    """Uformer's block (2106.03106) in a two-level U: window attention by a projection of q and one of kv, and LeFF."""

    def __init__(self, dim: int, heads: int, side: int = 8) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q, self.to_kv, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.one = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU())
        self.depthwise = nn.Sequential(nn.Conv2d(2 * dim, 2 * dim, 3, 1, 1, groups=2 * dim), nn.GELU())
        self.two = nn.Linear(2 * dim, dim)

    def forward(self, x: torch.Tensor, h: int, w: int) -> torch.Tensor:
        b, n, c = x.shape
        windows = partition(self.norm1(x).view(b, h, w, c), self.side)
        count, length, _ = windows.shape
        q = self.to_q(windows).reshape(count, length, 1, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)[0]
        kv = self.to_kv(windows).reshape(count, length, 2, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * (c // self.heads) ** -0.5) @ kv[0].transpose(-2, -1)
        out = (scores.softmax(-1) @ kv[1]).transpose(1, 2).reshape(count, length, c)
        x = x + merged(self.proj(out).view(-1, self.side, self.side, c), self.side, h, w).view(b, n, c)
        y = self.one(self.norm2(x)).transpose(1, 2).view(b, 2 * c, h, w)
        return x + self.two(self.depthwise(y).flatten(2).transpose(1, 2))


class Uformer(nn.Module):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, dim, 3, 1, 1), nn.LeakyReLU())
        self.down = nn.Conv2d(dim, 2 * dim, 4, 2, 1)
        self.up = nn.ConvTranspose2d(2 * dim, dim, 2, 2)
        self.blocks = nn.ModuleList([LeWin(dim, 1), LeWin(2 * dim, 2), LeWin(2 * dim, 2)])
        self.last = nn.Conv2d(2 * dim, 3, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        b, c, h, w = first.shape
        one = self.blocks[0](first.flatten(2).transpose(1, 2).contiguous(), h, w)
        low = self.down(one.transpose(1, 2).contiguous().view(b, c, h, w))
        two = self.blocks[1](low.flatten(2).transpose(1, 2).contiguous(), h // 2, w // 2)
        up = self.up(two.transpose(1, 2).contiguous().view(b, 2 * c, h // 2, w // 2)).flatten(2).transpose(1, 2)
        three = self.blocks[2](torch.cat([up, one], -1), h, w)
        return image + self.last(three.transpose(1, 2).view(b, 2 * c, h, w))


@foreign()
def uformer() -> nn.Module:
    return Uformer()


class CosineWindows(nn.Module):
    """Swin v2 (2111.09883): cosine attention with a clamped, learned temperature, biases by a small MLP, post-norm."""

    def __init__(self, dim: int = 16, side: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.side, self.heads = side, heads
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.logit_scale = nn.Parameter(torch.log(10 * torch.ones(heads, 1, 1)))
        self.mlp = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, heads, bias=False))
        self.qkv, self.q_bias, self.v_bias = (
            nn.Linear(dim, 3 * dim, bias=False),
            *(nn.Parameter(torch.randn(dim) * 0.1) for _ in range(2)),
        )
        self.norm = nn.LayerNorm(dim)
        axis = torch.arange(-(side - 1), side, dtype=torch.float32)
        table = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1) / (side - 1) * 8
        self.register_buffer("coordinates", torch.sign(table) * torch.log2(table.abs() + 1.0) / 3)
        self.register_buffer("index", positions(side))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        _, c, h, w = first.shape
        x = partition(first.permute(0, 2, 3, 1), self.side)
        count, n, _ = x.shape
        bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).reshape(count, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = scores * torch.clamp(self.logit_scale, max=4.6052).exp()
        table = self.mlp(self.coordinates).view(-1, self.heads)[self.index.view(-1)].view(n, n, -1)
        scores = scores + 16 * torch.sigmoid(table.permute(2, 0, 1)).unsqueeze(0)
        out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(count, n, c)
        deep = merged(self.norm(out), self.side, h, w).permute(0, 3, 1, 2)
        return image + self.last(first + deep)


@foreign()
def swin_v2() -> nn.Module:
    return CosineWindows()
