"""Detectors of forged pictures: networks, and the forgeries that they learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearport.base import Size
from clearport.models import samples
from clearport.models.cost import cost
from clearport.models.degradations.forgery import Forgery, soft_mask
from clearport.models.networks.deepfake.dire import PUBLISHED, Dire
from clearport.models.networks.deepfake.fst import FstMatching
from clearport.pictures.images import load_rgb
from clearport.registry import NETWORKS

with torch.device("meta"):
    WIDE = {"dire": Dire(PUBLISHED), "fst": FstMatching(PUBLISHED)}


def test_caddm_fits_a_phone_and_gives_places_in_training() -> None:
    spec = NETWORKS.get("caddm")
    network = spec.build(1)
    found = cost(network, Size(224, 224), spec.inputs)
    assert (found.params, round(found.macs / 1e6, 1)) == (440_851, 43.4)
    made = network.train()(255 * torch.rand(2, 3, 224, 224))
    assert made.image.shape == (2, 2)
    assert made.maps["forged"].shape == (2, 1, 7, 7)


def test_published_widths_have_the_published_parameters() -> None:
    count = {name: sum(p.numel() for p in network.parameters()) for name, network in WIDE.items()}
    assert count == {"dire": 23_510_081, "fst": 22_420_610}
    own = {name: cost(NETWORKS.get(name).build(1), Size(224, 224), NETWORKS.get(name).inputs) for name in WIDE}
    assert {name: (c.params, round(c.macs / 1e9, 2)) for name, c in own.items()} == {
        "dire": (5_893_665, 1.05),
        "fst": (5_615_170, 0.97),
    }


def test_half_are_forged_inside_the_mask_alone_and_the_same_every_time() -> None:
    photo = load_rgb(samples.calibration()[0])[:112, :112]
    made = [Forgery(0)(photo, np.random.default_rng(seed)) for seed in range(40)]
    labels = [float(one.truth["label"].item()) for one in made]
    assert 10 <= sum(labels) <= 30
    again = Forgery(0)(photo, np.random.default_rng(7))
    assert np.array_equal(again.low, made[7].low)
    for one, label in zip(made, labels, strict=True):
        assert one.truth["forged"].shape == (7, 7, 1)
        assert (one.truth["forged"].max() > 0.5) == bool(label)
    untouched = [one for one, label in zip(made, labels, strict=True) if np.array_equal(one.low, photo)]
    assert untouched, "some real photos are not compressed again"


def test_a_mask_is_soft_and_leaves_the_border_alone() -> None:
    for seed in range(5):
        mask = soft_mask(60, 80, np.random.default_rng(seed))
        assert mask.max() == 1.0
        assert mask.min() == 0.0
        assert ((mask > 0) & (mask < 1)).any()
        assert 0.05 < mask.mean() < 0.6


@pytest.mark.parametrize("name", ["caddm", "fst"])
def test_files_take_rgb_where_the_network_takes_bgr(name: str) -> None:
    from clearport.models import normalized

    spec = NETWORKS.get(name)
    network = spec.build(1)
    picture = 255 * torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        plain = normalized.module(network, spec.inputs)(picture)
        assert torch.allclose(plain, network(picture.flip(1)), atol=1e-5)
        assert torch.allclose(network(normalized.wanted(picture, spec.inputs[0])), plain, atol=1e-5)
