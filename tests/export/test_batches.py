"""Networks that make a batch of windows, patches or colors: every target computes them, or refuses with the layer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearport.base import Graph, Size
from clearport.export.from_torch import export_graph
from clearport.model_spec import ModelSpec, Paper
from clearport.quantize.flow import quantize
from clearport.quantize.qdq import to_qdq
from tests.export.every_target import available, by_target

from .tflite.harness import PLAIN, onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.base import Precision

SIDES = Size(12, 20)
WINDOW = 4


class Windows(nn.Module):
    """A picture in windows of 4x4, which lie along the batch; what is done to each is given by name."""

    def __init__(self, what: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.what = WORK[what]
        self.head, self.tail = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
        self.conv, self.up = nn.Conv2d(8, 8, 3, padding=1), nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.qkv, self.slopes = nn.Linear(8, 24), nn.PReLU(8)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.head(image))
        count, channels, height, width = features.shape
        cells = features.reshape(count, channels, height // WINDOW, WINDOW, width // WINDOW, WINDOW)
        windows = cells.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, WINDOW, WINDOW)
        done = self.what(self, windows).reshape(cells.permute(0, 2, 4, 1, 3, 5).shape)
        merged = done.permute(0, 3, 1, 4, 2, 5).reshape(features.shape)
        return self.tail(features + merged).clamp(0, 1)


def _attention(net: Windows, windows: torch.Tensor) -> torch.Tensor:
    query, key, value = net.qkv(windows.flatten(2).transpose(1, 2)).chunk(3, -1)
    mixed = (query @ key.transpose(1, 2) / 8**0.5).softmax(-1) @ value
    return mixed.transpose(1, 2).reshape(windows.shape)


WORK: dict[str, Callable[[Windows, torch.Tensor], torch.Tensor]] = {
    "attention": _attention,
    "convolution": lambda net, x: torch.relu(net.conv(x)),
    "transposed convolution": lambda net, x: F.max_pool2d(net.up(x), 2),
    "pooling": lambda net, x: x * F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1),
    "global pooling": lambda net, x: x * x.mean((2, 3), keepdim=True),
    "resizing": lambda net, x: F.avg_pool2d(F.interpolate(x, scale_factor=2.0, mode="bilinear"), 2),
    "shuffling": lambda net, x: F.pixel_shuffle(F.pixel_unshuffle(net.conv(x), 2), 2),
    "slopes": lambda net, x: net.slopes(net.conv(x)),
    "softmax": lambda net, x: x * net.conv(x).softmax(1),
    "padding": lambda net, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), net.conv.weight),
}


class Colors(nn.Module):
    """Each color enlarged as a picture of its own: the batch has three, and no value has more than four axes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        count, colors, height, width = image.shape
        gray = image.reshape(count * colors, 1, height, width)
        twice = F.pixel_shuffle(self.last(torch.relu(self.first(gray))), 2)
        return twice.reshape(count, colors, 2 * height, 2 * width).clamp(0, 1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: Windows(name) for name in WORK},  # type: ignore[misc]
    "colors": Colors,
}
ATTENTION_AND_COLORS = ("attention", "colors")
TOLERANCE = {"fp32": 0.0255, "fp16": 0.25, "int8": 2.0}
"""8-bit levels: 1e-4 of the range; 60 dB or better; kernels that round differently, over three convolutions."""


def exported(name: str) -> tuple[nn.Module, Graph]:
    net, scale = NETWORKS[name]().eval(), 2 if name == "colors" else 1
    spec = ModelSpec(
        name="windows",
        task="super-resolution",
        build=lambda _: net,
        scales=(scale,),
        default_scale=scale,
        halo=8,
        paper=Paper("Image Super-Resolution Using Deep Convolutional Networks", "1501.00092"),
        value_range=(0.0, 1.0),
    )
    return net, export_graph(net, spec, scale, SIDES)


def check(name: str, precisions: tuple[Precision, ...], folder: Path) -> None:
    net, graph = exported(name)
    photos = [np.random.default_rng(i).integers(0, 256, (SIDES.height, SIDES.width, 3), np.uint8) for i in range(2)]
    image = np.ascontiguousarray(photos[0].transpose(2, 0, 1)[None] / np.float32(255))
    quantized = quantize(graph, photos, PLAIN) if "int8" in precisions else None
    with torch.inference_mode():
        wanted = net(torch.from_numpy(image)).numpy()
    computed = set()
    for precision in precisions:
        reference = onnxruntime(to_qdq(quantized), image) if precision == "int8" and quantized else wanted
        for way, outcome in by_target(graph, image, folder, precision, quantized):
            if outcome.picture is None:
                assert re.search(r"unsupported operator \w+ of layer '\w+': .*(axes|batch)", outcome.refusal), way
                continue
            computed.add(way)
            assert outcome.picture.shape == reference.shape, (way, precision)
            assert np.abs(outcome.picture - reference).max() * 255 < TOLERANCE[precision], (way, precision)
    assert {way for way in available() if way not in {"ncnn", "coreml"}} <= computed


@pytest.mark.parametrize("name", ATTENTION_AND_COLORS)
def test_every_target_computes_the_batch_or_refuses_it(name: str, tmp_path: Path) -> None:
    check(name, ("fp32", "fp16", "int8"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ATTENTION_AND_COLORS])
def test_whatever_is_done_to_windows_is_computed_or_refused(name: str, tmp_path: Path) -> None:
    check(name, ("fp32", "fp16", "int8"), tmp_path)
