"""How training is judged and watched: borders, classes, devices, previews, TensorBoard."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clearport.errors import BadInput
from clearport.models.data.pair import Pair
from clearport.models.data.sets import data_set
from clearport.models.training.judge import judge, preview
from clearport.models.training.train import TrainOptions, options_for, train
from clearport.pictures.images import load_rgb, save_png
from clearport.registry import NETWORKS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_without_targets_the_latest_average_is_kept(options: TrainOptions) -> None:
    with pytest.raises(BadInput, match="l1 compares with targets"):
        train(replace(options, degradation="unpaired"))
    result = train(replace(options, degradation="unpaired", loss="exposure + spatial"))
    saved = torch.load(result.checkpoint, weights_only=True)
    assert all(torch.equal(saved["best"][key], value) for key, value in saved["average"].items())
    assert load_rgb(options.preview_path).shape == (2 * 36 + 4, 40, 3)  # input and restored picture, no target


def test_the_preview_shows_inputs_outputs_and_targets(options: TrainOptions) -> None:
    train(replace(options, validation_data=options.data[0]))
    grid = load_rgb(options.preview_path)
    assert grid.shape == (3 * 36 + 2 * 4, 6 * 40 + 5 * 4, 3)
    assert (grid[80:, :40] == load_rgb(options.data[0] / "0.png")).all()
    assert not (grid[:36, :40] == grid[80:, :40]).all()
    train(replace(options, preview=False, out=options.out.with_name("other.safetensors")))
    assert not list(options.out.parent.glob("other*.png"))


def test_small_inputs_are_enlarged_in_the_preview() -> None:
    low, high = np.arange(27, dtype=np.uint8).reshape(3, 3, 3), np.zeros((6, 6, 3), np.uint8)
    grid = preview([Pair("a", low, high)], [high + np.uint8(9)])
    assert grid.shape == (3 * 6 + 2 * 4, 6, 3)
    assert (grid[:6:2, :6:2] == low).all()
    assert (grid[10:16] == 9).all()


def test_borders_are_cut_only_where_a_network_enlarges() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    off = image.copy()
    off[0] = 0
    pairs = [Pair("a", image, off)]
    spec = NETWORKS.get("ncnet")
    assert judge(nn.Identity(), spec, 1, pairs).rgb_db == pytest.approx(20 * math.log10(255 / 100) + 9.03, abs=0.01)
    assert math.isnan(judge(nn.Identity(), spec, 1, [Pair("a", image, None)]).y_db)


@pytest.mark.parametrize(("videos", "told"), [(2, True), (40, False)])
def test_a_validation_of_one_class_is_reported(options: TrainOptions, videos: int, *, told: bool) -> None:
    folder = options.data[0] / "classes"
    for kind in ("real", "fake"):
        for i in range(videos):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            save_png(folder / kind / f"{i}.png", np.full((224, 224, 3), i, np.uint8))
    asked = options_for("caddm", data=(folder,), out=options.out)
    found = data_set(asked, NETWORKS.get("caddm"), 1)
    assert found.degradation == "labels"
    assert any("validation has one class only" in note for note in found.notes) == told


class Elsewhere(nn.Module):
    """A network on a device without numbers, that gives nothing for whatever it is given there."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, device="meta"))
        self.shape = shape

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        assert {each.device for each in given} == {self.weight.device}
        return torch.zeros(self.shape)


@pytest.mark.parametrize(("name", "shape"), [("caddm", (1, 1)), ("sinstep", (1, 3, 16, 16))])
def test_networks_are_judged_on_the_device_that_they_are_on(name: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    labels = [np.full((1, 1, 1), label, np.float32) for label in (0, 1)]
    pairs = [Pair("a", image, None, {"label": label}) for label in labels]
    assert math.isfinite(judge(Elsewhere(shape), NETWORKS.get(name), 1, pairs).rgb_db)


def test_tensorboard_gets_losses_quality_and_pictures(options: TrainOptions, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra 'train' is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(replace(options, log=tmp_path / "log", loss="l1 + 0.2*ssim"))
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    tags = events.Tags()
    assert {"loss", "lr", "losses/l1", "losses/ssim", "validation/rgb_psnr_db"} <= set(tags["scalars"])
    assert tags["images"] == ["validation"]
    assert [event.step for event in events.Scalars("losses/ssim")] == [3, 6]
