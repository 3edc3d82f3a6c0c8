"""AltFreezing for phones: an inflated ResNet-50 says of a clip whether its face is forged (arXiv 2307.08317).

    8 frames ── 5x7x7, stride 2 ── max 3x3, stride 2 ── 3 bottlenecks ── larger of each two frames
                                                         13 bottlenecks ── mean ── linear
    bottleneck: (T,1,1), (1,3,3), (1,1,1), and a skip

Frames are the batch. A kernel over T frames is a 1x1 convolution of T frames side by side, zeros before the first and
behind the last, so that files hold convolutions of pictures; weights keep the shape of those over clips. ncnn has no
batch: its files hold most kernels once for each frame, four times the size of other files. It needs a tracked, aligned
face for a second. Published is 64 wide, 27,225,921 parameters, and takes 32 frames of 224x224: 114 G
multiply-accumulates, too much for phones. This one is half as wide and takes 8 frames of 112x112: 6,832,033 and 2.13 G.

In training, temporal kernels (T,1,1) and spatial ones (1,k,k) are frozen by turns, of 20 steps each; the first
convolution and all (1,1,1) always learn.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import TensorSpec
from clearport.model_spec import Paper
from clearport.models.layers.detector import IMAGENET_MEAN, IMAGENET_STD, detector
from clearport.models.layers.resnet import EXPANSION, HALF

FRAMES, SIDE = 8, 112
_TIMES = ((3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1))
"""How many frames the first convolution of each bottleneck spans."""

TURN = 20
"""Training steps in which one kind of kernel stays as it is."""


class ClipConv(nn.Conv3d):
    """A convolution (T, k, k) of clips, frame by frame of all of them: (T'*B, C, H, W) to (T'*B, D, h, w)."""

    def __init__(self, taken: int, given: int, times: int, side: int, stride: int = 1) -> None:
        super().__init__(taken, given, (times, side, side), (1, stride, stride), bias=False)
        self.before = times // 2

    def forward(self, frames: torch.Tensor, clips: int = 1) -> torch.Tensor:
        times, side = self.kernel_size[0], self.kernel_size[1]
        ends = F.pad(frames, (0, 0, 0, 0, 0, 0, self.before * clips, self.before * clips)) if times > 1 else frames
        count = frames.shape[0]
        seen = torch.cat([ends[t * clips : t * clips + count] for t in range(times)], dim=1) if times > 1 else frames
        weight = self.weight.transpose(1, 2).flatten(1, 2)
        return F.conv2d(seen, weight, None, self.stride[1:], side // 2)


class Bottleneck(nn.Module):
    """Frames (N, C, H, W) to (N, D, H/stride, W/stride): (T,1,1), (1,3,3) with the stride, (1,1,1), beside a skip."""

    def __init__(self, taken: int, given: int, times: int, stride: int) -> None:
        super().__init__()
        narrow = given // EXPANSION
        self.conv1, self.bn1 = ClipConv(taken, narrow, times, 1), nn.BatchNorm2d(narrow)
        self.conv2, self.bn2 = ClipConv(narrow, narrow, 1, 3, stride), nn.BatchNorm2d(narrow)
        self.conv3, self.bn3 = ClipConv(narrow, given, 1, 1), nn.BatchNorm2d(given)
        self.skip, self.bn_skip = None, None
        if taken != given or stride > 1:
            self.skip, self.bn_skip = ClipConv(taken, given, 1, 1, stride), nn.BatchNorm2d(given)

    def forward(self, frames: torch.Tensor, clips: int) -> torch.Tensor:
        found = F.relu(self.bn1(self.conv1(frames, clips)))
        found = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(found)))))
        kept = frames if self.skip is None or self.bn_skip is None else self.bn_skip(self.skip(frames))
        return F.relu(found + kept)


class AltFreezing(nn.Module):
    """Frames, each an RGB picture (B, 3, H, W) in 0..255, in their order, to the logit of a forged clip (B, 1)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, width: int = HALF) -> None:
        super().__init__()
        self.register_buffer("mean", 255.0 * torch.tensor(IMAGENET_MEAN).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", 255.0 * torch.tensor(IMAGENET_STD).reshape(-1, 1, 1), persistent=False)
        self.stem, self.bn_stem = ClipConv(3, width, 5, 7, 2), nn.BatchNorm2d(width)
        widths = (width, *(width * EXPANSION * 2**stage for stage in range(len(_TIMES))))
        self.blocks = nn.ModuleList(
            Bottleneck(given if number else taken, given, times, 2 if number == 0 and stage else 1)
            for stage, ((taken, given), spans) in enumerate(zip(pairwise(widths), _TIMES, strict=True))
            for number, times in enumerate(spans)
        )
        self.classify = nn.Linear(widths[-1], 1)

    def forward(self, *frames: torch.Tensor) -> torch.Tensor:
        clips = frames[0].shape[0]
        found = F.relu(self.bn_stem(self.stem((torch.cat(frames) - self.mean) / self.deviation, clips)))
        found = F.max_pool2d(found, 3, 2, 1)
        for number, block in enumerate(self.blocks, start=1):
            found = block(found, clips)
            if number == len(_TIMES[0]):
                pairs = torch.split(found, 2 * clips)
                found = torch.cat([torch.maximum(each[:clips], each[clips:]) for each in pairs])
        pooled = found.mean(dim=(2, 3)).reshape(-1, clips, self.classify.in_features).mean(dim=0)
        logit: torch.Tensor = self.classify(pooled)
        return logit

    def frozen(self, step: int) -> list[torch.Tensor]:
        """Parameters that do not learn in a training step: temporal kernels in 20 steps, spatial ones in the next."""
        kinds = [(module.kernel_size[0] > 1, module.kernel_size[1] > 1, module) for module in self._kernels()]
        wanted = (True, False) if step // TURN % 2 == 0 else (False, True)
        return [module.weight for temporal, spatial, module in kinds if (temporal, spatial) == wanted]

    def _kernels(self) -> list[ClipConv]:
        return [module for module in self.modules() if isinstance(module, ClipConv)]


def build(scale: int) -> AltFreezing:
    """The network in eval mode with fresh weights; it has one scale."""
    del scale
    return AltFreezing().eval()


SPEC = detector(
    "altfreezing",
    build,
    Paper("AltFreezing for More General Video Face Forgery Detection", "2307.08317"),
    tuple(TensorSpec(f"frame{number}", (1, 3, "H", "W")) for number in range(FRAMES)),
    labels=("fake",),
    size_multiple=16,
    recipe={"patch": SIDE, "batch": 8},
)
