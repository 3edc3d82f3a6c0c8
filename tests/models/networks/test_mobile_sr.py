"""ABPN, XLSR and ECBSR: their sizes, their start, and what the other stages rely on."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from clearport.base import Size
from clearport.export.from_torch import deployed, export_graph
from clearport.model_spec import ModelSpec
from clearport.models.networks.super_resolution.abpn import SPEC as ABPN
from clearport.models.networks.super_resolution.ecbsr import SPEC as ECBSR
from clearport.models.networks.super_resolution.xlsr import SPEC as XLSR
from clearport.models.training.widen import Widening, collapse, widen

SPECS = (ABPN, XLSR, ECBSR)
each = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def fresh(spec: ModelSpec, scale: int = 3) -> torch.nn.Module:
    """A network whose weights are all alive, so that every pixel in the receptive field matters."""
    torch.manual_seed(scale)
    network: torch.nn.Module = spec.build(scale)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.001, 0.01)
    return network.double()


@pytest.mark.parametrize(
    ("spec", "params"), [(ABPN, 42_539), (XLSR, 21_947), (ECBSR, 42_987)], ids=lambda s: str(s)[:9]
)
def test_parameters_at_x3(spec: ModelSpec, params: int) -> None:
    network = deployed(spec.build(3))
    assert sum(p.numel() for p in network.parameters()) == params


@each
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_fresh_network_lets_the_image_through(spec: ModelSpec, scale: int) -> None:
    torch.manual_seed(1)
    image = torch.rand(1, 3, 20, 24) * 200.0 + 20.0
    nearest = F.interpolate(image, scale_factor=scale, mode="nearest")
    with torch.no_grad():
        given = spec.build(scale)(image)
    # The last convolution starts with weights of about 0.001 on features of some hundreds: a few levels.
    assert (given - nearest)[..., 9:-9, 9:-9].abs().mean() < 12.0


@each
def test_the_halo_is_exactly_as_far_as_a_pixel_reaches(spec: ModelSpec) -> None:
    network, halo = fresh(spec), spec.halo
    image = torch.full((1, 3, 1, 2 * halo + 9), 1.0, dtype=torch.float64)
    before = network(image)
    image[..., 2 * halo + 4] += 1.0
    touched = (network(image) != before).any(dim=1).any(dim=1)[0].nonzero().flatten()
    assert touched.min() == 3 * (halo + 4)
    assert len(touched) == 3 * (halo + 1 + 4)


@each
def test_the_output_is_clipped_in_use_and_open_in_training(spec: ModelSpec) -> None:
    network = spec.build(2)
    image = torch.full((1, 3, 12, 12), 255.0)
    last = list(network.parameters())[-1] if spec is not ECBSR else network.blocks[-1].bias
    for value, bound in ((300.0, 255.0), (-600.0, 0.0)):
        torch.nn.init.constant_(last, value)
        assert torch.all(network.eval()(image) == bound)
        assert not torch.any(network.train()(image) == bound)


@each
@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_trainer_can_dress_and_undress_it(spec: ModelSpec, bfloat16: bool) -> None:
    torch.manual_seed(2)
    network = spec.build(3)
    trainee = widen(network, Widening(2, bfloat16=bfloat16, bias_unit=255.0))
    image = torch.rand(2, 3, 16, 16) * 255.0
    output = trainee(image)
    output.float().mean().backward()
    assert all(p.grad is not None for p in trainee.parameters())
    assert set(collapse(trainee)) == set(network.state_dict())
    with torch.no_grad():
        plain = network.train()(image)
    # bfloat16 keeps 8 bits of every activation, of up to some hundred levels.
    assert (output - plain).abs().max() < (8.0 if bfloat16 else 1e-3)


@each
@pytest.mark.parametrize(
    "size", [pytest.param(Size(64, 64), marks=pytest.mark.slow), None], ids=["64x64", "any size"]
)  # the zoo's everyday tests export them for one size
def test_it_exports(spec: ModelSpec, size: Size | None) -> None:
    graph = export_graph(spec.build(3), spec, 3, size)  # raises where the graph is not the network
    kinds = {node.op_type for node in graph.model.graph}
    assert kinds <= {"Conv", "Relu", "Add", "Concat", "DepthToSpace", "Clip"}
