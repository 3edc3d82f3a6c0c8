"""The loss of matting, and the composites that it is learned on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.errors import BadInput
from clearport.models import samples
from clearport.models.data.crops import Batch
from clearport.models.degradations.composite import Composite, one_click
from clearport.models.degradations.diffusion import Diffusion
from clearport.models.layers.diffusion import embedding, kept
from clearport.models.losses.matting import matting
from clearport.models.training.outputs import Restored
from clearport.pictures.images import load_rgb

LEAST = 0.002


def loss(off: float = 0.0, scale: float = LEAST, square: float = 0.0) -> float:
    true = torch.zeros(2, 1, 128, 128)
    true[:, :, 40:90, 40:90] = 1.0
    true[:, :, 38:40] = 0.5
    places = torch.tensor([[0, 0], [32, 64]])
    cuts = torch.stack([true[0, :, :64, :64], true[1, :, 32:96, 64:]])
    maps = {"scale": torch.full_like(true, scale), "square": cuts + square, "place": places}
    return float(matting(Restored(true + off, maps=maps), Batch(true, true), 1.0))


def test_it_is_zero_where_everything_is_right_and_grows_with_each_error() -> None:
    assert loss() == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < loss(off=0.01) < loss(off=0.1)
    assert 0.0 < loss(square=0.01) < loss(square=0.1)


def test_the_scale_that_costs_least_is_the_error() -> None:
    found = {scale: loss(off=0.1, scale=scale) for scale in (0.02, 0.05, 0.1, 0.2, 0.5)}
    assert min(found, key=lambda scale: found[scale]) == 0.1


def test_networks_without_alpha_are_refused() -> None:
    one = torch.zeros(1, 1, 8, 8)
    with pytest.raises(BadInput, match="needs a network that outputs alpha"):
        matting(Restored(one), Batch(one, one), 1.0)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return load_rgb(Path(samples.golden()))[100:228, 100:228]


def test_composites_show_the_photo_outside_and_a_click_inside(photo: np.ndarray) -> None:
    both = 0
    for seed in range(12):
        made = Composite(0)(photo, np.random.default_rng(seed))
        again = Composite(5)(photo, np.random.default_rng(seed))
        assert made.low.tobytes() == again.low.tobytes()
        assert made.high is not None
        alpha, clicks = made.high[..., 0], made.truth["clicks"][..., 0]
        assert 0.02 < (alpha > 0.5).mean() < 0.8
        assert alpha[clicks > 0].max() > 0.95
        assert set(np.unique(clicks)) <= {-1.0, 0.0, 1.0}
        both += bool((made.low[alpha == 0.0] == photo[alpha == 0.0]).all())
        x, y, sign = one_click(made.high, np.random.default_rng(seed))[0]
        assert (alpha[int(y), int(x)], sign) == (pytest.approx(1.0, abs=0.05), 1.0)
    assert 0 < both < 12  # a second thing lies in some of them, and not in all


def test_noise_is_added_by_the_schedule(photo: np.ndarray) -> None:
    shares = kept()
    assert shares[0] == pytest.approx(1.0 - 1e-4)
    assert shares[-1] == pytest.approx(4.04e-5, rel=0.01)  # DDPM's linear schedule at 1000 steps
    for step in (0, 500, 999):
        made = Diffusion(0).at(step, photo, np.random.default_rng(1))
        assert made.high is not None
        clean = photo.astype(np.float64) / 127.5 - 1.0
        wanted = np.sqrt(shares[step]) * clean + np.sqrt(1.0 - shares[step]) * made.high
        np.testing.assert_allclose(made.truth["noisy"], wanted, atol=1e-5)
        np.testing.assert_array_equal(made.truth["time"][0], embedding(step, 32))
    assert embedding(0, 32).tolist() == [[1.0] * 16 + [0.0] * 16]
