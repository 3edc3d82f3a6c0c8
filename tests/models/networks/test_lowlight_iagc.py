"""Illumination-aware gamma: the Taylor series, and what both forms promise."""

from __future__ import annotations

import pytest
import torch

from clearport.base import Size
from clearport.export.from_torch import export_graph
from clearport.model_spec import ModelSpec
from clearport.models.layers import hierarchy as layers_hierarchy
from clearport.models.layers.gamma import TaylorGamma
from clearport.models.networks.low_light import iagc as net_iagc
from clearport.models.networks.low_light import iagcfull as net_iagcfull


@pytest.mark.parametrize(("gamma", "tolerance"), [(0.25, 0.03), (0.4, 0.013), (0.7, 0.006), (1.0, 1e-12), (2.0, 0.013)])
def test_the_series_is_the_power_from_four_gray_levels_on(gamma: float, tolerance: float) -> None:
    levels = torch.linspace(1 / 81, 1.0, 2000, dtype=torch.float64)
    image = levels[None, None, None].expand(1, 3, 1, -1)
    power = TaylorGamma().double()(image, torch.full((1, 1, 1, 1), gamma, dtype=torch.float64))
    # What the module promises: a hundredth is two or three gray levels.
    assert (power - image**gamma).abs().max() < tolerance


def test_the_logarithm_on_every_gray_level() -> None:
    levels = torch.arange(4, 256, dtype=torch.float64) / 255
    image = levels[None, None, None].expand(1, 3, 1, -1)
    # The parabola's own error on 1..3; other factors add none, as it is exact at both ends.
    assert (TaylorGamma().double().logarithm(image) - image.log()).abs().max() < 0.025


@pytest.mark.parametrize("gamma", [0.2, 0.5, 1.0, 1.9])
def test_the_curve_keeps_black_and_white_and_never_falls(gamma: float) -> None:
    levels = torch.linspace(0.0, 1.0, 4001, dtype=torch.float64)
    curve = TaylorGamma().double()(levels[None, None, None].expand(1, 3, 1, -1), torch.tensor(gamma).double())
    assert curve[..., 0].abs().max() == 0.0
    assert (curve[..., -1] - 1.0).abs().max() < 1e-5  # buffers are rounded to float32
    assert curve.diff().min() >= -1e-9


def test_gamma_can_differ_by_pixel_and_color() -> None:
    image = torch.rand(2, 3, 4, 5)
    gamma = torch.full((2, 3, 4, 5), 1.0)
    gamma[0, 1, 2, 3] = 0.5
    changed = (TaylorGamma()(image, gamma) - image).abs() > 1e-3
    assert changed.nonzero().tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("size", [(8, 8), (16, 24)])
def test_windows_are_blocks_of_the_picture(size: tuple[int, int]) -> None:
    features = torch.rand(2, 5, *size)
    cut = layers_hierarchy.windows(features)
    assert cut.shape == (2 * size[0] * size[1] // 64, 64, 5)
    assert torch.equal(layers_hierarchy.picture(cut, 2, *size), features)
    last_of_the_first_row = cut[size[1] // 8 - 1].T.view(5, 8, 8)
    assert torch.equal(last_of_the_first_row, features[0, :, :8, -8:])


def test_attention_lets_every_place_see_every_other() -> None:
    torch.manual_seed(1)
    block = layers_hierarchy.LocalToGlobal(8, 2)
    features = torch.rand(1, 8, 20, 28)  # not whole windows
    changed = features.clone()
    changed[0, :, 1, 1] += torch.linspace(-2, 2, 8)  # unlike a shift, this outlives a layer normalization
    difference = (block(changed) - block(features)).abs().amax(dim=1)[0]
    assert difference.shape == (20, 28)
    assert difference[12:, 20:].min() > 0


@pytest.mark.parametrize("spec", [net_iagc.SPEC, net_iagcfull.SPEC], ids=lambda spec: spec.name)
def test_the_start_brightens_and_changes_nothing_else(spec: ModelSpec) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 40) * 0.5
    gamma = spec.build(1).train()(image).maps["gamma"]
    assert gamma.min() > 0.45
    assert gamma.max() < 0.55
    restored = spec.build(1)(image)
    assert (restored - image ** gamma.mean()).abs().max() < 0.04  # the series, where pixels are nearly black


def test_no_exponential_division_or_softmax_in_the_mobile_form() -> None:
    graph = export_graph(net_iagc.build(1), net_iagc.SPEC, 1, Size(64, 64))
    operators = {node.op_type for node in graph.model.graph}
    assert not operators & {"Exp", "Log", "Pow", "Div", "Softmax", "Sqrt", "LayerNormalization"}
