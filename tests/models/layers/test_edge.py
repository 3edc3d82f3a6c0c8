"""The edge-oriented block: its one kernel is the sum of its branches, up to the border."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from clearport.models.layers.edge import EdgeConv
from clearport.models.networks.super_resolution.ecbsr import SPEC

RANGE = 255.0


def alive(block: EdgeConv) -> EdgeConv:
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return block


def by_branches(block: EdgeConv, features: torch.Tensor) -> torch.Tensor:
    """The block as the paper draws it: zeros around the picture, every branch for itself, and their sum."""
    padded, unit = F.pad(features, (1, 1, 1, 1)), block.bias_unit
    total = F.conv2d(padded, block.direct, block.bias * unit)
    expanded = F.conv2d(padded, block.expand[..., None, None], block.expand_bias * unit)
    total = total + F.conv2d(expanded, block.squeeze.transpose(0, 1))
    mixes, biases, gains = (p.chunk(3) for p in (block.edge_mix, block.edge_mix_bias, block.edge_gain))
    for mix, bias, gain, edge in zip(mixes, biases, gains, block.filters, strict=True):
        mixed = F.conv2d(padded, mix[..., None, None], bias * unit)
        kernel = (gain[:, None, None] * edge)[:, None]
        total = total + F.conv2d(mixed, kernel, groups=len(kernel))
    return total


def test_one_kernel_is_the_sum_of_the_branches_also_at_the_border() -> None:
    torch.manual_seed(0)
    block = alive(EdgeConv(5, 7, RANGE)).double()
    features = torch.rand(2, 5, 6, 9, dtype=torch.float64) * RANGE
    assert torch.allclose(block(features), by_branches(block, features), rtol=0, atol=1e-9)


def test_a_bias_inside_a_branch_counts() -> None:
    block = alive(EdgeConv(2, 3, RANGE))
    before = block(torch.zeros(1, 2, 4, 4))
    torch.nn.init.constant_(block.expand_bias, 1.0)
    assert (block(torch.zeros(1, 2, 4, 4)) - before).abs().min() > 0.1


def test_the_deployed_network_is_the_network() -> None:
    torch.manual_seed(1)
    network = SPEC.build(3)
    for block in network.blocks:
        assert isinstance(block, EdgeConv)
        for parameter in block.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    image = torch.rand(1, 3, 24, 17) * RANGE
    plain = network.deploy()
    assert all(isinstance(block, torch.nn.Conv2d) for block in plain.blocks)
    assert all(isinstance(block, EdgeConv) for block in network.blocks)
    with torch.no_grad():
        assert network(image).std() > 0
        assert (network(image) - plain(image)).abs().max() <= 1e-4 * RANGE  # the bound of every fp32 artifact
