"""Attention over channels, over all pixels, linear and by einsum."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class BiasFreeNorm(nn.Module):
    """Restormer's LayerNorm over channels, by hand."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        x = x.flatten(2).transpose(1, 2)
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        x = (x - mean) / torch.sqrt(variance + 1e-5) * self.weight + self.bias
        return x.transpose(1, 2).view(b, c, h, w)


class Transposed(nn.Module):
    """MDTA and GDFN of Restormer (2111.09881)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.norm1, self.norm2 = BiasFreeNorm(dim), BiasFreeNorm(dim)
        self.qkv, self.proj = nn.Conv2d(dim, 3 * dim, 1, bias=False), nn.Conv2d(dim, dim, 1, bias=False)
        self.local = nn.Conv2d(3 * dim, 3 * dim, 3, 1, 1, groups=3 * dim, bias=False)
        hidden = int(dim * 2.66)
        self.inside = nn.Conv2d(dim, 2 * hidden, 1, bias=False)
        self.middle = nn.Conv2d(2 * hidden, 2 * hidden, 3, 1, 1, groups=2 * hidden, bias=False)
        self.outside = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        q, k, v = self.local(self.qkv(self.norm1(x))).chunk(3, dim=1)
        q, k, v = (t.reshape(b, self.heads, c // self.heads, h * w) for t in (q, k, v))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        scores = (q @ k.transpose(-2, -1)) * self.temperature
        x = x + self.proj((scores.softmax(dim=-1) @ v).reshape(b, c, h, w))
        gate, y = self.middle(self.inside(self.norm2(x))).chunk(2, dim=1)
        return x + self.outside(F.gelu(gate) * y)


class Restormer(nn.Module):
    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, dim, 3, 1, 1, bias=False)
        self.one, self.two, self.three = Transposed(dim, 1), Transposed(2 * dim, 2), Transposed(dim, 1)
        self.down = nn.Sequential(nn.Conv2d(dim, dim // 2, 3, 1, 1, bias=False), nn.PixelUnshuffle(2))
        self.up = nn.Sequential(nn.Conv2d(2 * dim, 4 * dim, 3, 1, 1, bias=False), nn.PixelShuffle(2))
        self.reduce = nn.Conv2d(2 * dim, dim, 1, bias=False)
        self.last = nn.Conv2d(dim, 3, 3, 1, 1, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        one = self.one(self.embed(image))
        up = self.up(self.two(self.down(one)))
        return self.last(self.three(self.reduce(torch.cat([up, one], 1)))) + image


@foreign()
def restormer() -> nn.Module:
    return Restormer()


class LinearAttention(nn.Module):
    """elu + 1 as the kernel, three einsums, as in LoFTR (2104.00680)."""

    def __init__(self, dim: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.q, self.k, self.v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        b, c, h, w = first.shape
        x = first.flatten(2).permute(0, 2, 1)
        q, k, v = (layer(x).view(b, h * w, self.heads, -1) for layer in (self.q, self.k, self.v))
        q, k = F.elu(q) + 1, F.elu(k) + 1
        length = v.shape[1]
        v = v / length
        kv = torch.einsum("nshd,nshv->nhdv", k, v)
        z = 1 / (torch.einsum("nlhd,nhd->nlh", q, k.sum(dim=1)) + 1e-6)
        out = torch.einsum("nlhd,nhdv,nlh->nlhv", q, kv, z) * length
        x = x + self.norm(out.reshape(b, h * w, c))
        return image + self.last(x.permute(0, 2, 1).reshape(b, c, h, w))


@foreign()
def linear_attention() -> nn.Module:
    return LinearAttention()


class NonLocal(nn.Module):
    """Embedded Gaussian attention over all pixels (1711.07971), keys pooled by two."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, dim, 3, 2, 1), nn.Conv2d(dim, 12, 3, 1, 1)
        self.theta, self.phi, self.g = (nn.Conv2d(dim, dim // 2, 1) for _ in range(3))
        self.back = nn.Conv2d(dim // 2, dim, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(image))
        b, c, h, w = x.shape
        theta = self.theta(x).view(b, c // 2, -1).permute(0, 2, 1)
        phi = F.max_pool2d(self.phi(x), 2).view(b, c // 2, -1)
        g = F.max_pool2d(self.g(x), 2).view(b, c // 2, -1).permute(0, 2, 1)
        y = torch.bmm(F.softmax(torch.bmm(theta, phi), dim=-1), g).permute(0, 2, 1).contiguous().view(b, c // 2, h, w)
        return F.pixel_shuffle(self.last(x + self.back(y)), 2)


@foreign()
def non_local() -> nn.Module:
    return NonLocal()


class BlocksAndGrid(nn.Module):
    """MAXIM's gated MLPs (2201.02973): over blocks, and over a grid, by einsum on a fifth axis."""

    def __init__(self, dim: int = 16, side: int = 4) -> None:
        super().__init__()
        self.side = side
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.norm, self.inside = nn.LayerNorm(dim), nn.Linear(dim, 2 * dim)
        self.blocks = nn.Parameter(torch.randn(side * side, side * side) * 0.1)
        self.grid = nn.Parameter(torch.randn(side * side, side * side) * 0.1)
        self.offset = nn.Parameter(torch.ones(side * side, 1))
        self.outside = nn.Linear(2 * dim, dim)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.first(image)
        b, c, h, w = first.shape
        s = self.side
        u, v = torch.chunk(F.gelu(self.inside(self.norm(first.permute(0, 2, 3, 1)))), 2, dim=-1)
        u = u.reshape(b, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(b, -1, s * s, c)
        u = torch.einsum("bgpc,pq->bgqc", u, self.blocks) + self.offset
        u = u.reshape(b, h // s, w // s, s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        v = v.reshape(b, s, h // s, s, w // s, c).permute(0, 1, 3, 2, 4, 5).reshape(b, s * s, -1, c)
        v = torch.einsum("bgpc,gh->bhpc", v, self.grid) + 1.0
        v = v.reshape(b, s, s, h // s, w // s, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        deep = self.outside(torch.cat([u, v], dim=-1)).permute(0, 3, 1, 2)
        return image + self.last(first + deep)


@foreign()
def maxim() -> nn.Module:
    return BlocksAndGrid()


class MultiHead(nn.Module):
    """A ViT-like encoder with torch's own attention, learned positions and a mean head."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, 8, 8)
        self.positions = nn.Parameter(torch.randn(1, 24, dim) * 0.1)
        self.token = nn.Parameter(torch.randn(1, 1, dim))
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * dim, dim))
        self.head = nn.Linear(dim, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2) + self.positions
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


@foreign()
def vit() -> nn.Module:
    return MultiHead()


class Stripes(nn.Module):
    """Attention along rows, then columns (Stripformer, 2204.04627), by scaled_dot_product_attention."""

    def __init__(self, dim: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.last = nn.Conv2d(3, dim, 3, 1, 1), nn.Conv2d(dim, 3, 3, 1, 1)
        self.rows, self.columns = nn.Linear(dim, 3 * dim), nn.Linear(dim, 3 * dim)

    def along(self, x: torch.Tensor, layer: nn.Module) -> torch.Tensor:
        """Attention along the third of (B, A, L, C)."""
        b, a, n, c = x.shape
        q, k, v = layer(x).view(b * a, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return out.transpose(1, 2).reshape(b, a, n, c)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image).permute(0, 2, 3, 1)
        x = x + self.along(x, self.rows)
        x = x.transpose(1, 2)
        x = x + self.along(x, self.columns)
        return image + self.last(x.permute(0, 3, 2, 1))


@foreign()
def stripes() -> nn.Module:
    return Stripes()
