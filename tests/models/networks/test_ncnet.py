"""NCNet: what the paper says of its size, and what the other stages rely on."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from clearport.models.layers.plain import PlainNet
from clearport.models.networks.super_resolution.ncnet import SPEC


def fresh(scale: int) -> PlainNet:
    """A network whose weights are all alive, so that every pixel in the receptive field matters."""
    torch.manual_seed(scale)
    network = SPEC.build(scale)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.001, 0.01)
    return network.double()


@pytest.mark.parametrize(("scale", "params"), [(2, 42_664), (3, 52_279), (4, 72_544)])
def test_parameters(scale: int, params: int) -> None:
    network = SPEC.build(scale)
    assert sum(p.numel() for p in network.parameters()) == params
    assert "nearest" in dict(network.named_buffers())
    assert not any("nearest" in name for name in network.state_dict())
    assert not network.training


@pytest.mark.parametrize("scale", SPEC.scales)
def test_the_nearest_convolution_is_nearest_upsampling(scale: int) -> None:
    network = SPEC.build(scale)
    image = torch.arange(2 * 3 * 5 * 7, dtype=torch.float32).reshape(2, 3, 5, 7)
    convolved = network.upsample(F.conv2d(image, network.nearest))
    assert torch.equal(convolved, F.interpolate(image, scale_factor=scale, mode="nearest"))


@pytest.mark.parametrize("scale", SPEC.scales)
def test_the_halo_is_exactly_as_far_as_a_pixel_reaches(scale: int) -> None:
    network, halo = fresh(scale), SPEC.halo
    image = torch.full((1, 3, 1, 2 * halo + 9), 10.0, dtype=torch.float64)
    before = network(image)
    image[..., 2 * halo + 4] += 1.0
    touched = (network(image) != before).any(dim=1).any(dim=1)[0].nonzero().flatten()
    assert touched.min() == scale * (halo + 4)
    assert touched.max() == scale * image.shape[3] - 1
    assert len(touched) == scale * (halo + 1 + 4)


def test_the_output_is_clipped_in_use_and_open_in_training() -> None:
    network = SPEC.build(3)
    torch.nn.init.constant_(network.tail.bias, 300.0)
    image = torch.zeros(1, 3, 4, 4)
    assert network(image).max() == 255.0
    assert network.train()(image).max() > 299.0
    torch.nn.init.constant_(network.tail.bias, -300.0)
    assert network.eval()(image).min() == 0.0
