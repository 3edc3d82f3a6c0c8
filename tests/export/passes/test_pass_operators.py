"""The passes that choose among spellings, each by the numbers and by the operators that are left."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from clearport.base import Graph, Size
from clearport.export import from_torch
from clearport.export.passes import order as passes
from clearport.graph import nodes as graphs
from clearport.model_spec import ModelSpec, Paper

SIZE = Size(16, 24)


class Between(nn.Module):
    """A function of eight channels of features, between two convolutions."""

    def __init__(self, function: object, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.head, self.tail = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 1)
        self.inner = nn.ModuleDict(modules)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.tail(self.function(self.inner, self.head(image)))


SPEC = ModelSpec(
    name="between",
    task="deraining",
    build=lambda scale: nn.Identity(),
    scales=(1,),
    default_scale=1,
    halo=4,
    paper=Paper("none", "0000.00000"),
    value_range=(0.0, 1.0),
)


def exported(function: object, size: Size | None = SIZE, **modules: nn.Module) -> Graph:
    """The graph of ``function``; exporting it compares it with PyTorch."""
    torch.manual_seed(0)
    return from_torch.export_graph(Between(function, **modules).eval(), SPEC, 1, size)


def between(graph: Graph) -> str:
    """The operators between the two convolutions."""
    kinds = [node.op_type for node in graph.model.graph]
    assert (kinds[0], kinds[-1]) == ("Conv", "Conv")
    return " ".join(kinds[1:-1])


def shuffled(x: torch.Tensor, groups: int) -> torch.Tensor:
    batch, channels, height, width = x.shape
    split = x.reshape(batch, groups, channels // groups, height, width)
    return split.transpose(1, 2).reshape(batch, channels, height, width)


def attention(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
    batch, channels, height, width = x.shape
    tokens = x.flatten(2).transpose(1, 2)
    q, k = (m[name](tokens).reshape(batch, height * width, 2, 4).transpose(1, 2) for name in "qk")
    mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ q
    return mixed.transpose(1, 2).reshape(batch, -1, channels).transpose(1, 2).reshape(x.shape)


def pooled(x: torch.Tensor, *size: int) -> torch.Tensor:
    """To a grid of windows and back."""
    return F.interpolate(F.adaptive_avg_pool2d(x, size), size=(SIZE.height, SIZE.width), mode="nearest")


CASES = {
    "windows that do not divide": (lambda m, x: pooled(x, 7, 5), "MatMul MatMul Resize"),
    "windows that divide": (lambda m, x: pooled(x, 8, 6), "AveragePool Resize"),
    "global mean": (lambda m, x: x * x.mean((2, 3), keepdim=True), "GlobalAveragePool Mul"),
    "global mean, axes dropped": (lambda m, x: x * x.mean((2, 3))[:, :, None, None], "GlobalAveragePool Mul"),
    "adaptive average": (lambda m, x: x * F.adaptive_avg_pool2d(x, 1), "GlobalAveragePool Mul"),
    "adaptive largest": (lambda m, x: x * F.adaptive_max_pool2d(x, 1), "GlobalMaxPool Mul"),
    "adaptive largest of 4": (
        lambda m, x: F.interpolate(F.adaptive_max_pool2d(x, (x.shape[2] // 4, x.shape[3] // 4)), size=x.shape[-2:]),
        "MaxPool Resize",
    ),
    "largest, rounded up": (
        lambda m, x: F.interpolate(F.max_pool2d(x, 3, 2, ceil_mode=True), size=x.shape[-2:]),
        "MaxPool Resize",
    ),
    "mean of channels": (lambda m, x: x * x.mean(1, keepdim=True), "ReduceMean Mul"),
    "deviation": (
        lambda m, x: x * x.std((2, 3), keepdim=True),
        "GlobalAveragePool Sub Mul GlobalAveragePool Mul Mul Sqrt Mul",
    ),
    "variance of channels": (
        lambda m, x: x * x.var(1, keepdim=True, unbiased=False),
        "ReduceMean Sub Mul ReduceMean Mul",
    ),
    "length of channels": (lambda m, x: F.normalize(x, dim=1), "Mul ReduceSum Sqrt Clip Div"),
    "split": (lambda m, x: torch.cat(x.chunk(4, 1)[::-1], 1), "Slice Slice Slice Slice Concat"),
    "a part": (lambda m, x: torch.relu(F.pad(x[:, :, 1:-1, 2:], (2, 0, 1, 1))), "Slice Pad Relu"),
    "powers": (
        lambda m, x: x**2 + x**3 + torch.sigmoid(x) ** 0.5 + torch.pow(torch.sigmoid(x), x),
        "Mul Mul Mul Add Sigmoid Sqrt Add Pow Add",
    ),
    "one over x": (lambda m, x: 1 / (x * x + 1), "Mul Add Div"),
    "divided": (lambda m, x: x / 4, "Mul"),
    "hard sigmoid": (lambda m, x: F.hardsigmoid(x), "Add Clip Mul"),
    "larger than a number": (lambda m, x: torch.maximum(x, torch.tensor(0.1)), "Clip"),
    "expanded": (lambda m, x: x * x[:, :1].expand(-1, 8, -1, -1), "Slice Mul"),
    "repeated": (lambda m, x: x[:, :1].repeat(1, 8, 1, 1), "Slice Conv"),
    "unshuffled": (lambda m, x: F.pixel_shuffle(m["c"](F.pixel_unshuffle(x, 2)), 2), "SpaceToDepth Conv DepthToSpace"),
    "unshuffled and shuffled": (
        lambda m, x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2),
        "SpaceToDepth Conv DepthToSpace",
    ),
    "channels shuffled": (lambda m, x: shuffled(x, 4), ""),
    "channels shuffled behind an activation": (lambda m, x: shuffled(F.leaky_relu(x, 0.1), 2), "LeakyRelu"),
    "channels shuffled, read elsewhere too": (lambda m, x: shuffled(x, 2) + x, "Conv Add"),
    "channels shuffled behind groups": (lambda m, x: shuffled(m["g"](x), 2), "Conv"),
    "batch norm behind an activation": (lambda m, x: m["n"](F.relu(x)), "Relu Conv"),
    "gelu": (lambda m, x: F.gelu(x), "Gelu"),
    "gelu spelled out": (lambda m, x: 0.5 * x * (1 + torch.erf(x / 2**0.5)), "Gelu"),
    "gelu spelled out otherwise": (lambda m, x: x * (torch.erf(x * 0.5**0.5) + 1) * 0.5, "Gelu"),
    "channel attention": (
        lambda m, x: x * torch.sigmoid(m["b"](F.relu(m["a"](x.mean((2, 3)))))).reshape(1, 8, 1, 1),
        "GlobalAveragePool Conv Relu Conv Sigmoid Mul",
    ),
    "attention": (
        attention,
        (
            "Reshape Transpose MatMul Add Reshape Transpose MatMul Add Reshape Transpose MatMul Softmax MatMul "
            "Transpose Reshape Transpose Reshape"
        ),
    ),
    "layer norm of channels": (
        lambda m, x: m["l"](x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        "Transpose LayerNormalization Transpose",
    ),
}


def modules() -> dict[str, nn.Module]:
    norm = nn.BatchNorm2d(8)
    norm.running_mean, norm.running_var = torch.linspace(-1, 1, 8), torch.linspace(0.5, 2, 8)
    return {
        "a": nn.Linear(8, 4),
        "b": nn.Linear(4, 8, bias=False),
        "c": nn.Conv2d(32, 32, 1),
        "g": nn.Conv2d(8, 8, 1, groups=2),
        "k": nn.Linear(8, 8),
        "l": nn.LayerNorm(8),
        "n": norm,
        "q": nn.Linear(8, 8),
    }


@pytest.mark.parametrize("name", CASES)
def test_a_function_becomes_the_operators_that_targets_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, wanted = CASES[name]
    run = passes.run
    monkeypatch.setattr(passes, "run", lambda graph: run(graph, compare=True))
    assert between(exported(function, **modules())) == wanted


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("channels shuffled, read elsewhere too", "also read elsewhere"),
        ("unshuffled and shuffled", "SpaceToDepth has another order of channels"),
    ],
)
def test_a_convolution_that_only_copies_says_why_it_is_there(name: str, reason: str) -> None:
    graph = exported(CASES[name][0])
    assert any(re.search(reason, note) for note in graph.history), graph.history


def test_a_shuffle_behind_groups_of_3x3_is_taken_over_by_what_reads_it() -> None:
    graph = exported(lambda m, x: shuffled(F.relu(m["g"](x)), 2), g=nn.Conv2d(8, 8, 3, padding=1, groups=2))
    assert between(graph) == "Conv Relu"
    assert graph.history == passes.PASSES


FREE = ["global mean", "split", "channels shuffled"]  # whose sizes are written out at a fixed size
ALIKE = ["mean of channels", "hard sigmoid", "gelu", "powers", "channels shuffled, read elsewhere too"]


@pytest.mark.parametrize("name", [*FREE, *(pytest.param(name, marks=pytest.mark.slow) for name in ALIKE)])
def test_a_free_size_gives_the_same_operators(name: str) -> None:
    function, wanted = CASES[name]
    assert between(exported(function, None)) == wanted


@pytest.mark.parametrize("name", ["unshuffled", "unshuffled and shuffled"])
def test_an_unshuffle_computes_no_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SPEC", replace(SPEC, size_multiple=2))
    function, wanted = CASES[name]
    assert between(exported(function, None, **modules())) == wanted


def test_an_expression_that_is_no_gelu_stays() -> None:
    graph = exported(lambda m, x: 0.7 * x * (1 + torch.erf(x / 2**0.5)))
    assert "Erf" in between(graph)


def test_weights_of_a_permuted_convolution_are_the_old_ones() -> None:
    graph = exported(lambda m, x: shuffled(x, 2))
    torch.manual_seed(0)
    head = Between(None).head.weight.detach().numpy()
    np.testing.assert_array_equal(graphs.need_constant(graph.model.graph[0], 1), head[[0, 4, 1, 5, 2, 6, 3, 7]])
