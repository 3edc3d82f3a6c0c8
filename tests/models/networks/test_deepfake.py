"""Detectors of forged pictures: networks, and the forgeries that they learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from clearport.base import Size
from clearport.errors import BadInput
from clearport.models import samples
from clearport.models.cost import cost
from clearport.models.data.sets import data_set
from clearport.models.degradations.forgery import Forgery, soft_mask
from clearport.models.layers.resnet import PUBLISHED
from clearport.models.networks.deepfake import altfreezing
from clearport.models.networks.deepfake.dire import Dire
from clearport.models.networks.deepfake.fst import FstMatching
from clearport.models.networks.deepfake.multiattentional import Attention, Head
from clearport.models.training.options import options_for
from clearport.models.training.train import train
from clearport.pictures.images import load_rgb, save_png
from clearport.registry import NETWORKS

with torch.device("meta"):
    WIDE = {"dire": Dire(PUBLISHED), "fst": FstMatching(PUBLISHED), "altfreezing": altfreezing.AltFreezing(PUBLISHED)}
    HEAD = Head(32, 160, 1792, 256)
SIDES = {"altfreezing": 112}


def test_caddm_fits_a_phone_and_outputs_locations_in_training() -> None:
    spec = NETWORKS.get("caddm")
    network = spec.build(1)
    found = cost(network, Size(224, 224), spec.inputs)
    assert (found.params, round(found.macs / 1e6, 1)) == (440_851, 43.4)
    made = network.train()(255 * torch.rand(2, 3, 224, 224))
    assert made.image.shape == (2, 2)
    assert made.maps["forged"].shape == (2, 1, 7, 7)


def test_published_widths_have_the_published_parameters() -> None:
    count = {name: sum(p.numel() for p in network.parameters()) for name, network in WIDE.items()}
    assert count == {"dire": 23_510_081, "fst": 22_420_610, "altfreezing": 27_225_921}
    backbone = 17_548_616 + 2 * 1792 + 2  # EfficientNet-b4 without its classifier, and one of two classes, which idles
    assert sum(p.numel() for p in HEAD.parameters()) + backbone == 18_826_068
    specs = [NETWORKS.get(name) for name in (*WIDE, "multiattentional")]
    sides = [SIDES.get(spec.name, 224) for spec in specs]
    own = {s.name: cost(s.build(1), Size(side, side), s.inputs) for s, side in zip(specs, sides, strict=True)}
    assert {name: (c.params, round(c.macs / 1e9, 2)) for name, c in own.items()} == {
        "dire": (5_893_665, 1.05),
        "fst": (5_615_170, 0.97),
        "altfreezing": (6_832_033, 2.13),
        "multiattentional": (3_672_842, 0.68),
    }


@torch.inference_mode()
def test_kernels_over_frames_are_those_of_clips() -> None:
    torch.manual_seed(0)
    for times, side, stride in ((5, 7, 2), (3, 1, 1), (1, 3, 2)):
        layer, clips = altfreezing.ClipConv(3, 4, times, side, stride), torch.randn(2, 3, 6, 16, 16)
        pads = (times // 2, side // 2, side // 2)
        wanted = F.conv3d(clips, layer.weight, stride=(1, stride, stride), padding=pads)
        frames = clips.permute(2, 0, 1, 3, 4).flatten(0, 1)  # the first of each clip, the second of each ...
        made = layer(frames, 2).unflatten(0, (6, 2)).permute(1, 2, 0, 3, 4)
        assert torch.allclose(made, wanted, atol=1e-5)


@torch.inference_mode()
def test_clips_of_a_batch_do_not_see_each_other_and_the_order_of_frames_matters() -> None:
    torch.manual_seed(0)
    network = NETWORKS.get("altfreezing").build(1)
    frames = list(255 * torch.rand(altfreezing.FRAMES, 2, 3, 64, 64))
    both = network(*frames)
    assert both.shape == (2, 1)
    for number in range(2):
        assert torch.allclose(network(*(frame[number : number + 1] for frame in frames)), both[number], atol=1e-5)
    assert not torch.allclose(network(*frames[::-1]), both, atol=1e-4)


@pytest.mark.usefixtures("one_thread")
def test_a_detector_of_clips_learns_from_folders_of_videos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for side, videos in {"real": 3, "fake": 3}.items():
        for number in range(videos):
            (tmp_path / "data" / side / str(number)).mkdir(parents=True)
            for frame in range(3 + number):
                picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
                save_png(tmp_path / "data" / side / str(number) / f"{frame}.png", picture)
    asked = {"patch": 64, "batch": 2, "steps": 2, "workers": 0, "validation_photos": 2}
    options = options_for("altfreezing", data=(tmp_path / "data",), out=tmp_path / "out.safetensors", **asked)
    data = data_set(options, NETWORKS.get("altfreezing"), 1)
    batch = data.crops.batch(2, np.random.default_rng(0))
    assert batch.low.shape == (2, 3 * altfreezing.FRAMES, 64, 64)
    last = batch.low.unflatten(1, (altfreezing.FRAMES, 3))[:, -2:]
    assert torch.equal(last[:, 0], last[:, 1]), "where a video ends, its last frame stands still"
    assert train(options).finished
    with pytest.raises(BadInput, match=r"takes 24 .* it needs clips: give a folder with real/ and fake/"):
        data_set(replace(options, layout="photos", degradation="forgery"), NETWORKS.get("altfreezing"), 1)
    for path in (tmp_path / "data").glob("*/*/1.png"):
        save_png(path, np.zeros((64, 80, 3), np.uint8))
    with pytest.raises(BadInput, match="; the frames before it in this video have "):
        data_set(options, NETWORKS.get("altfreezing"), 1)


@torch.inference_mode()
def test_maps_of_attention_are_0_at_the_border_and_nowhere_negative() -> None:
    torch.manual_seed(0)
    maps = Attention(8).eval()(torch.randn(1, 8, 14, 14))
    assert (maps >= 0).all()
    assert maps[..., 2:13, 2:13].min() > 0
    for edge in (maps[..., :2, :], maps[..., 13:, :], maps[..., :2], maps[..., 13:]):
        assert not edge.any()


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
