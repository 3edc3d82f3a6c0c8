"""Illumination-aware gamma: the Taylor series, and what both forms promise."""

from __future__ import annotations

import pytest
import torch

from clearport.models.layers_gamma import TaylorGamma


@pytest.mark.parametrize(("gamma", "tolerance"), [(0.25, 0.03), (0.4, 0.013), (0.7, 0.006), (1.0, 1e-12), (2.0, 0.013)])
def test_the_series_is_the_power_from_four_grey_levels_on(gamma: float, tolerance: float) -> None:
    levels = torch.linspace(1 / 81, 1.0, 2000, dtype=torch.float64)
    image = levels[None, None, None].expand(1, 3, 1, -1)
    power = TaylorGamma().double()(image, torch.full((1, 1, 1, 1), gamma, dtype=torch.float64))
    # What the module promises: a hundredth is two or three grey levels.
    assert (power - image**gamma).abs().max() < tolerance


def test_the_logarithm_on_every_grey_level() -> None:
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


def test_gamma_can_differ_by_pixel_and_colour() -> None:
    image = torch.rand(2, 3, 4, 5)
    gamma = torch.full((2, 3, 4, 5), 1.0)
    gamma[0, 1, 2, 3] = 0.5
    changed = (TaylorGamma()(image, gamma) - image).abs() > 1e-3
    assert changed.nonzero().tolist() == [[0, 1, 2, 3]]
