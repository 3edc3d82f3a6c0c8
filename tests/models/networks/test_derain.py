"""Deraining networks: what every one of them keeps to, from the first step of training to the exported graph."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import torch

from clearport.base import Graph, Size
from clearport.export.from_torch import export_graph
from clearport.models.losses.table import parse
from clearport.models.training.options import TrainOptions
from clearport.models.training.outputs import Restored
from clearport.registry import NETWORKS

NAMES = ("ddn", "graspp", "heavyrain", "prenet", "prn", "quasisparse", "snetvnet", "transmission")
PARAMETERS = {
    "ddn": 56_966,  # the paper's 57,369 without 403 biases that batch normalization takes out again
    "graspp": 179_283,
    "heavyrain": 79_103,
    "prenet": 168_963,  # as published
    "prn": 95_107,  # as published
    "quasisparse": 216_561,
    "snetvnet": 106_195,
    "transmission": 119_418,
}
MAPS = {
    "ddn": {"rain": (3, 32, 48)},
    "graspp": {"rain": (3, 32, 48)},
    "heavyrain": {"rain": (3, 32, 48), "rain_mask": (1, 32, 48), "transmission": (1, 32, 48), "light": (3, 1, 1)},
    "prenet": {},
    "prn": {},
    "quasisparse": {"rain": (3, 32, 48)},
    "snetvnet": {"streak_transmission": (3, 32, 48), "transmission": (1, 32, 48), "light": (3, 1, 1)},
    "transmission": {"transmission": (3, 32, 48), "light": (3, 1, 1)},
}
AUXILIARY = {
    "quasisparse": [(3, 8, 12), (3, 16, 24)],
    "prenet": [(3, 32, 48)] * 5,
    "prn": [(3, 32, 48)] * 5,
}


def fresh(name: str) -> torch.nn.Module:
    torch.manual_seed(3)
    network: torch.nn.Module = NETWORKS.get(name).build(1)
    return network


def picture(batch: int = 1, height: int = 32, width: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(batch, 3, height, width, generator=generator)


@cache
def exported(name: str) -> Graph:
    return export_graph(fresh(name), NETWORKS.get(name), 1, Size(64, 64))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_as_many_as_the_docstring_says(name: str) -> None:
    network = fresh(name)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    stated = re.findall(r"([\d,]+) parameters", " ".join((type(network).__doc__ or "").split()))
    assert stated == [f"{PARAMETERS[name]:,}"]
    assert not network.training


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_network_lets_the_picture_through_nearly_unchanged(name: str) -> None:
    image = picture()
    with torch.no_grad():
        network = fresh(name)
        restored = network(image)
        assert torch.equal(network(image), restored)
    assert restored.shape == image.shape
    assert restored.min() >= 0.0
    assert restored.max() <= 1.0
    # last layers begin with weights of 0.0003 over some 300 features of the order of 1; PRN has six stages
    assert (restored - image).abs().max() < 0.05
    assert (restored - image).abs().mean() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_training_gives_the_maps_and_auxiliary_pictures(name: str) -> None:
    given = fresh(name).train()(picture(batch=2))
    assert isinstance(given, Restored)
    assert given.image.shape == (2, 3, 32, 48)
    assert {key: tuple(value.shape[1:]) for key, value in given.maps.items()} == MAPS[name]
    assert [tuple(value.shape[1:]) for value in given.auxiliary] == AUXILIARY.get(name, [])
    for key, value in given.maps.items():
        assert value.shape[0] == 2
        if key != "rain":
            most = 1.5 if key == "light" and name != "heavyrain" else 1.0  # brighter than streaks, which are white
            assert 0.0 <= value.min() <= value.max() <= most


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns_from_the_first_step(name: str) -> None:
    network = fresh(name).train()
    given: Restored = network(picture(batch=2))
    (given.image.square().mean() + sum(a.square().mean() for a in given.auxiliary)).backward()
    still = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0.0]
    assert still == []


EVERYDAY = ("ddn", "transmission")
"""Networks whose export is tried every time; those of many repeated layers take ten times as long."""


@pytest.mark.parametrize(
    "name", [name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_the_exported_graph_computes_the_same_and_holds_nothing_of_training(name: str) -> None:
    graph = exported(name)  # compares itself to PyTorch, to 1e-4 of the range
    assert graph.input.shape == graph.output.shape == (1, 3, 64, 64)
    assert graph.output.value_range == (0.0, 1.0)
    allowed = {"Conv", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Add", "Sub", "Mul", "Clip", "Concat"}
    allowed |= {"DepthToSpace", "AveragePool", "GlobalAveragePool", "Resize"}
    assert {node.op_type for node in graph.model.graph} <= allowed


def test_the_auxiliary_decoders_are_not_exported() -> None:
    network = fresh("quasisparse")
    decoders = sum(p.numel() for p in network.get_submodule("auxiliary").parameters())
    held = 0
    for node in exported("quasisparse").model.graph:
        if node.op_type == "Conv":
            held += sum(int(np.prod(value.shape.numpy())) for value in node.inputs[1:])
    assert decoders == 3_894
    assert held == PARAMETERS["quasisparse"] - decoders


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_is_one_that_the_trainer_takes(name: str) -> None:
    recipe = NETWORKS.get(name).recipe
    assert recipe["degradation"] == "rain"
    assert set(recipe) <= set(TrainOptions.__dataclass_fields__)
    needed = {"mask": "rain_mask", "transmission": "transmission", "light": "light"}
    for term in parse(recipe["loss"]):
        assert needed.get(term.name) in (None, *MAPS[name])
        assert term.name != "auxiliary" or name in AUXILIARY


@pytest.mark.parametrize("name", NAMES)
def test_sizes_at_the_lower_end_are_restored_too(name: str) -> None:
    with torch.no_grad():
        assert fresh(name)(picture(height=8, width=8)).shape == (1, 3, 8, 8)


def lively(name: str) -> torch.nn.Module:
    """Weights under which no ReLU is ever off, so that every pixel within reach matters."""
    network = fresh(name)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.001, 0.01)
    return network.double()


@pytest.mark.parametrize("name", [pytest.param("quasisparse", marks=pytest.mark.slow), "ddn"])
def test_the_halo_is_exactly_as_far_as_a_pixel_reaches(name: str) -> None:
    network, halo = lively(name).train(), NETWORKS.get(name).halo  # in training nothing is clipped
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # in training it would mix in the rest of the picture
    side = 2 * halo + 16
    reach = 0
    places = NETWORKS.get(name).size_multiple  # that a pixel can have under the halvings
    for middle in range(halo + 4, halo + 4 + places):
        image = torch.full((1, 3, side + side % 4, side + side % 4), 0.4, dtype=torch.float64, requires_grad=True)
        network(image).image[0, :, middle, middle].sum().backward()
        assert image.grad is not None
        touched = image.grad[0].abs().sum(dim=0).nonzero()
        reach = max(reach, int((touched - middle).abs().max()))
    assert reach == halo
