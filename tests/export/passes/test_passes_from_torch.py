"""PyTorch to ONNX: sizes, bytes, and a graph that is not the network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from clearport.base import Size
from clearport.errors import BadInput, CheckFailed
from clearport.export import from_torch
from clearport.export.deviations import deviations
from clearport.graph import nodes as graphs
from clearport.model_spec import ModelSpec, Paper


class Doubling(nn.Module):
    """Halves and restores the size inside, so it needs multiples of 2."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up = nn.Conv2d(4, 12, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.pixel_shuffle(self.up(torch.relu(self.down(image))), 2).clamp(0.0, 1.0)


SPEC = ModelSpec(
    name="doubling",
    task="deraining",
    build=lambda scale: Doubling().eval(),
    scales=(1,),
    default_scale=1,
    halo=4,
    paper=Paper("none", "0000.00000"),
    size_multiple=2,
    value_range=(0.0, 1.0),
)


def network() -> Doubling:
    torch.manual_seed(0)
    return Doubling().eval()


def test_the_same_network_gives_the_same_bytes_without_a_trace_of_the_machine() -> None:
    first, second = (from_torch.export_graph(network(), SPEC, 1, Size(16, 24)) for _ in range(2))
    data = graphs.to_bytes(first.model)
    assert data == graphs.to_bytes(second.model)
    for trace in (b".py", b"site-packages", b"Doubling", b"pytorch", b"stack_trace"):
        assert trace not in data
    assert first.output.shape == (1, 3, 16, 24)


def test_a_free_size_runs_at_sizes_that_were_not_exported() -> None:
    graph = from_torch.export_graph(network(), SPEC, 1, None)
    assert graph.input.dynamic
    sizes = {deviation.size for deviation in deviations(network(), graph, SPEC, None)}
    assert len(sizes) == 2
    assert max(d.max_abs for d in deviations(network(), graph, SPEC, Size(10, 30))) < 1e-5


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (Size(15, 24), "multiples of 2, for example 16x24"),
        (Size(1, 1), "too small; each side must be at least 8 pixels"),
        (Size(6000, 8000), "process larger pictures in tiles"),
    ],
)
def test_a_size_that_the_network_cannot_take_is_refused(size: Size, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_torch.export_graph(network(), SPEC, 1, size)


def test_a_graph_that_is_not_the_network_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    run = from_torch.passes.run

    def wrong(graph: object) -> object:
        result = graphs.clone(run(graph))
        weight = result.model.graph.initializers["conv1.weight"]
        weight.const_value = type(weight.const_value)(weight.const_value.numpy() * 1.01, name="conv1.weight")
        return result

    monkeypatch.setattr(from_torch.passes, "run", wrong)
    with pytest.raises(CheckFailed, match="differs from the network: on the noise image of 16x24 it is off by up to"):
        from_torch.export_graph(network(), SPEC, 1, Size(16, 24))


class Overflowing(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.factor


@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
def test_a_network_that_computes_no_numbers_is_refused(factor: float) -> None:
    with pytest.raises(BadInput, match=r"PyTorch's own output \w+ contains NaN or infinity on the \w+ image of 16x24"):
        from_torch.export_graph(Overflowing(factor).eval(), SPEC, 1, Size(16, 24))


class Branching(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * 2 if image.mean() > 0 else image


def test_networks_that_pytorch_cannot_export_are_refused_clearly() -> None:
    with pytest.raises(BadInput, match="PyTorch cannot export it for 16x24"):
        from_torch.export_graph(Branching(), SPEC, 1, Size(16, 24))


class Ensemble(nn.Module):
    """A convolution on the picture turned in several ways, as self-ensembles have it, and its colors backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        flipped = self.body(image.flip(2)).flip(2)
        turned = torch.rot90(self.body(torch.rot90(image, 1, (2, 3))), -1, (2, 3))
        return flipped + torch.roll(turned, (1, 2), (2, 3)) + self.body(image.flip(1)).flip(1)


def test_a_picture_that_is_turned_inside_keeps_its_turns() -> None:
    torch.manual_seed(0)
    spec = replace(SPEC, size_multiple=1, value_range=(0.0, 1.0))
    graph = from_torch.export_graph(Ensemble().eval(), spec, 1, Size(16, 16))
    steps = [graphs.constant(graphs.operand(node, 4)) for node in graph.model.graph if node.op_type == "Slice"]
    assert sum(step is not None and step.tolist() == [-1] for step in steps) == 4, (
        "colors are reordered where they are computed and read"
    )


@pytest.mark.parametrize("size", [Size(16, 24), None])
def test_a_network_that_enlarges_otherwise_than_it_says_is_refused(size: Size | None) -> None:
    """Its picture would be cut into tiles of the wrong place, each of them right."""
    with pytest.raises(CheckFailed, match=r"its contract says \(1, 3, \d+, \d+\): its scale differs"):
        from_torch.export_graph(network(), replace(SPEC, scales=(2,), default_scale=2), 2, size)
