"""Classifiers and other heads that give vectors and indices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .zoo import foreign


class Gate(nn.Module):
    """Squeeze and excite with a hard sigmoid."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pool, self.one, self.two = nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, 8, 1), nn.Conv2d(8, dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * F.hardsigmoid(self.two(F.relu(self.one(self.pool(x)))))


class Inverted(nn.Module):
    """The block of MobileNetV3 (1905.02244) and EfficientNet."""

    def __init__(self, given: int, made: int, stride: int, kernel: int, act: nn.Module) -> None:
        super().__init__()
        inside = 2 * given
        self.body = nn.Sequential(
            nn.Conv2d(given, inside, 1, bias=False), nn.BatchNorm2d(inside), act,
            nn.Conv2d(inside, inside, kernel, stride, kernel // 2, groups=inside, bias=False), nn.BatchNorm2d(inside),
            act, Gate(inside), nn.Conv2d(inside, made, 1, bias=False), nn.BatchNorm2d(made),
        )  # fmt: skip
        self.same = stride == 1 and given == made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.same else self.body(x)


@foreign((1, 3, 64, 64))
def mobilenet_v3() -> nn.Module:
    act = nn.Hardswish()
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), act, Inverted(16, 16, 1, 3, act),
        Inverted(16, 24, 2, 5, act), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 32), nn.Hardswish(),
        nn.Dropout(0.2), nn.Linear(32, 10),
    )  # fmt: skip


class EfficientNet(nn.Module):
    """SiLU, padding as TensorFlow's SAME, softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 2, bias=False), nn.BatchNorm2d(16)
        self.block, self.head = Inverted(16, 16, 1, 3, nn.SiLU()), nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        h, w = image.shape[-2:]
        ph, pw = (max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in (h, w))
        x = F.pad(image, [pw // 2, pw - pw // 2, ph // 2, ph - ph // 2])
        x = self.block(F.silu(self.norm(self.stem(x))))
        return F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1).flatten(1).matmul(self.head.weight.t()).softmax(1)


@foreign()
def efficientnet() -> nn.Module:
    return EfficientNet()


class ShuffleNet(nn.Module):
    """ShuffleNetV2 (1807.11164): split, shuffle by view and transpose; mean over both axes."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, dim, 3, 2, 1), nn.MaxPool2d(3, 2, 1)
        half = dim // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, half, 3, 1, 1, groups=half),
            nn.BatchNorm2d(half), nn.Conv2d(half, half, 1), nn.ReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(dim, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.stem(image)))
        for _ in range(2):
            one, two = x.chunk(2, dim=1)
            x = torch.cat((one, self.branch(two)), 1)
            b, c, h, w = x.size()
            x = torch.transpose(x.view(b, 2, c // 2, h, w), 1, 2).contiguous().view(b, -1, h, w)
        return self.fc(x.mean([2, 3]))


@foreign()
def shufflenet() -> nn.Module:
    return ShuffleNet()


class Pyramid(nn.Module):
    """Pyramid pooling (1612.01105) over bins that do not divide, argmax at the end."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, dim, 3, 2, 1)
        self.bins = nn.ModuleList(
            [nn.Sequential(nn.AdaptiveAvgPool2d(n), nn.Conv2d(dim, 4, 1), nn.ReLU()) for n in (1, 2, 3, 7)]
        )
        self.last = nn.Conv2d(dim + 16, 5, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(image))
        size = x.shape[2:]
        found = [F.interpolate(pool(x), size=size, mode="bilinear", align_corners=True) for pool in self.bins]
        return F.interpolate(self.last(torch.cat([x, *found], 1)), scale_factor=2, mode="nearest")


@foreign((1, 3, 34, 50))
def pyramid_pooling() -> nn.Module:
    return Pyramid()


class Attending(nn.Module):
    """Multi-attentional pooling (2103.02406): einsum of maps and features, L2 norm of each, adaptive max pool."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.stem, self.maps = nn.Conv2d(3, dim, 3, 2, 1), nn.Conv2d(dim, 4, 1)
        self.fc1, self.fc2 = nn.Linear(4 * dim + 32 * dim, 16), nn.Linear(16, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(image))
        maps = F.elu(self.maps(x)) + 1
        pooled = F.normalize(torch.einsum("bchw,bmhw->bmc", x, maps), dim=2, p=2)
        local = F.adaptive_max_pool2d(x, (8, 4))
        x = torch.cat([pooled.flatten(1), local.flatten(1)], 1)
        return torch.log_softmax(self.fc2(F.hardswish(self.fc1(x))), dim=-1)


@foreign()
def attention_pooling() -> nn.Module:
    return Attending()


class TopScores(nn.Module):
    """The five best of a map of key points, and a mean of those."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, dim, 3, 4, 1), nn.Conv2d(dim, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = torch.sigmoid(self.last(F.relu(self.stem(image)))).flatten(1)
        best, _ = scores.topk(5, dim=1)
        return torch.cat([best, best.mean(1, keepdim=True)], 1)


@foreign()
def top_scores() -> nn.Module:
    return TopScores()


class SoftArgmax(nn.Module):
    """A soft argmax over a grid of coordinates (integral pose), standard deviation and a threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 6, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.last(F.mish(self.stem(image)))
        b, c, h, w = maps.shape
        heat = maps.reshape(b, c, h * w).softmax(-1).reshape(b, c, h, w)
        x = (heat.sum(2) * torch.linspace(0, 1, w)).sum(-1)
        y = (heat.sum(3) * torch.arange(h, dtype=torch.float32) / (h - 1)).sum(-1)
        spread = maps.std(dim=(2, 3))
        sure = torch.where(spread > 0.2, spread, torch.zeros_like(spread))
        return torch.stack([x, y, spread, sure], -1)


@foreign()
def soft_argmax() -> nn.Module:
    return SoftArgmax()


class Labels(nn.Module):
    """A segmenter that gives the class of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.SELU(), nn.Conv2d(16, 5, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.body(image).argmax(1)


@foreign()
def labels() -> nn.Module:
    return Labels()
