"""High dynamic range: the network, and the brackets that it learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.base import Size
from clearport.errors import BadInput
from clearport.models import samples
from clearport.models.cost import cost
from clearport.models.data.sets import data_set
from clearport.models.degradations.exposures import Exposures, shifted
from clearport.models.training.judge import values_of
from clearport.models.training.options import options_for
from clearport.pictures.images import load_rgb, save_png
from clearport.pictures.light import GAMMA, linear
from clearport.registry import NETWORKS

SPEC = NETWORKS.get("cenhdr")


@pytest.fixture(scope="module")
def lively() -> torch.nn.Module:
    """The network with weights that let everything through."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: torch.nn.Module = SPEC.build(1)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_it_is_as_small_and_as_cheap_as_the_challenge_asks() -> None:
    found = cost(SPEC.build(1), Size(720, 1280), SPEC.inputs)
    assert (found.params, round(found.macs / 1e9, 2)) == (71_581, 19.59)


def test_it_sees_no_farther_than_its_halo(lively: torch.nn.Module) -> None:
    frames = [torch.rand(1, 3, 72, 72, requires_grad=True) for _ in range(3)]
    lively.train()(*frames)[0, :, 36, 36].sum().backward()
    for frame in frames:
        assert frame.grad is not None
        rows, columns = frame.grad[0].abs().sum(0).nonzero().T
        reach = max((36 - rows.min(), rows.max() - 36, 36 - columns.min(), columns.max() - 36))
        assert 20 <= int(reach) <= SPEC.halo


def test_at_the_start_the_medium_frame_passes_as_light() -> None:
    low = np.random.default_rng(0).integers(0, 256, (16, 16, 9), np.uint8)
    light = linear(values_of(SPEC.build(1), low, SPEC))
    assert light == pytest.approx((low[..., 3:6] / 255.0) ** GAMMA / 4.0, abs=1e-5)


def test_frames_are_exposures_of_the_truth() -> None:
    """Where a frame neither clips nor lies in noise, and nothing moves, it is the truth times its exposure."""
    photo = load_rgb(samples.calibration()[0])[:64, :64]
    made = next(found for seed in range(40) if _still(found := Exposures(0)(photo, np.random.default_rng(seed))))
    assert made.high is not None
    light = linear(made.high)
    for frame, gain in zip(np.split(made.low, 3, axis=2), (1.0, 4.0, 16.0), strict=True):
        seen = (frame / 255.0) ** GAMMA
        fit = (frame > 120) & (frame < 240)
        assert np.median(seen[fit] / light[fit]) == pytest.approx(gain, rel=0.02)


def _still(made: object) -> bool:
    """Whether short and medium frame show the same places."""
    short, medium, _ = (part.astype(float) for part in np.split(getattr(made, "low"), 3, axis=2))  # noqa: B009
    fit = (medium > 60) & (medium < 250)
    return bool(fit.mean() > 0.2 and np.corrcoef(short[fit], medium[fit])[0, 1] > 0.995)


def test_a_seed_gives_the_same_bracket_and_another_seed_another() -> None:
    photo = load_rgb(samples.calibration()[0])[:32, :32]
    one, same, other = (Exposures(0)(photo, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.low, same.low)
    assert not np.array_equal(one.low, other.low)


def test_a_fractional_shift_is_between_integer_ones() -> None:
    light = np.random.default_rng(0).random((8, 9, 3), np.float32)
    assert np.array_equal(shifted(light, 1.0, 0.0)[1:], light[:-1])
    middle = (shifted(light, 0.0, 1.0) + shifted(light, 0.0, 2.0)) / 2
    assert shifted(light, 0.0, 1.5) == pytest.approx(middle, abs=1e-6)


def test_inputs_that_are_no_bracket_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        save_png(folder / f"{i}.png", np.full((80, 80, 3), 40 * i, np.uint8))
    options = options_for("cenhdr", data=(folder,), out=folder / "x.safetensors", degradation="haze")
    with pytest.raises(
        BadInput, match=r"'haze' makes inputs of 3 channels, and cenhdr takes 9 \(short, medium, long\)"
    ):
        data_set(options, SPEC, 1)
