"""Translation between kinds of pictures: the generator, its data, and how it learns without pairs."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.base import Size
from clearport.errors import BadInput
from clearport.models import samples
from clearport.models.cost import cost
from clearport.models.data.sets import data_set
from clearport.models.networks.translation.negcut import PUBLISHED, Negcut
from clearport.models.training.contrast import Contrast
from clearport.models.training.device import OneDevice
from clearport.models.training.options import Tick, TrainOptions, options_for
from clearport.models.training.train import Progress, train
from clearport.pictures.images import load_rgb, save_png
from clearport.registry import NETWORKS


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    """Photos, and other photos of other sizes in warm colors."""
    for number, path in enumerate(samples.calibration()[:4]):
        photo = load_rgb(path)
        warm = np.clip(photo[30:110, 20:140] * np.array([1.0, 0.6, 0.3]) + 40, 0, 255).astype(np.uint8)
        (tmp_path / "kinds/trainA").mkdir(parents=True, exist_ok=True)
        (tmp_path / "kinds/trainB").mkdir(exist_ok=True)
        if number < 3:
            save_png(tmp_path / f"kinds/trainA/{number}.png", photo[:72, :96])
        save_png(tmp_path / f"kinds/trainB/{number}.png", np.ascontiguousarray(warm))
    return tmp_path / "kinds"


def asked(kinds: Path, **more: object) -> TrainOptions:
    out = kinds.parent / "out.safetensors"
    given = {"steps": 4, "validate_every": 2, "patch": 32, "batch": 2, "workers": 0, **more}
    return options_for("negcut", data=(kinds,), out=out, **given)


def test_it_has_the_parameters_that_are_published_and_two_small_forms() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Negcut(*PUBLISHED).parameters()) == 11_378_179
    found = [cost(network, Size(256, 256)) for network in (NETWORKS.get("negcut").build(1), Negcut(24, 6).eval())]
    assert [(each.params, round(each.macs / 1e9, 2)) for each in found] == [(494_083, 3.34), (1_107_459, 7.27)]


def test_folders_of_two_kinds_are_inputs_and_what_outputs_should_look_like(kinds: Path) -> None:
    data = data_set(asked(kinds), NETWORKS.get("negcut"), 1)
    assert (data.degradation, data.layouts) == ("domains", ("domains",))
    assert data.found == ("kinds: layout domains, 3 and 4 pictures",)
    assert all(pair.high is None for pair in data.validation), "a target that shows something else judges nothing"
    batch = data.crops.batch(4, np.random.default_rng(0))
    assert batch.high is not None
    assert batch.low.shape == batch.high.shape == (4, 3, 32, 32)
    warmth = [float((each[:, 0].float() - each[:, 2].float()).mean()) for each in (batch.low, batch.high)]
    assert warmth[1] > warmth[0] + 20
    with pytest.raises(BadInput, match="l1 compares with targets, but these data have none"):
        train(asked(kinds, loss="l1 + contrast"))
    with pytest.raises(
        BadInput, match="does not match the layout 'domains', which has two folders trainA/ and trainB/"
    ):
        data_set(asked(kinds / "trainA"), NETWORKS.get("negcut"), 1)


@pytest.mark.usefixtures("one_thread")
def test_it_learns_from_both_and_a_stopped_run_goes_on_to_the_same_weights(kinds: Path) -> None:
    ticks: list[Tick] = []
    options = asked(kinds)
    assert train(options, on_tick=ticks.append).finished
    other = replace(options, out=options.out.with_name("other.safetensors"))

    def press_ctrl_c(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    assert train(other, press_ctrl_c).step == 2
    saved = torch.load(other.checkpoint, weights_only=True)
    assert {"adversary", "contrast"} <= set(saved)
    assert train(replace(other, resume=True)).finished
    assert other.out.read_bytes() == options.out.read_bytes()


def test_projections_learn_to_tell_places_and_the_inventor_makes_that_harder() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NETWORKS.get("negcut").build(1).train()
        picture = 2 * torch.rand(1, 3, 32, 32) - 1
    contrast = Contrast(network.contrasted, 0, OneDevice(torch.device("cpu")))
    losses, made = [], network(picture)
    for _ in range(4):
        torch.manual_seed(1)
        loss = contrast(made, None, 2.0)  # type: ignore[arg-type]  # it looks at no batch
        torch.autograd.backward(loss, retain_graph=True)
        contrast._step("projections")
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.layers[1].parameters())
    seen = contrast._seen
    harder = []
    for _ in range(6):
        contrast._seen = seen
        harder.append(contrast.learn(made, None, 2.0))  # type: ignore[arg-type]  # as above
    assert harder[-1] < harder[0]


def test_a_network_without_features_cannot_learn_by_contrast() -> None:
    with pytest.raises(BadInput, match="the loss contrast needs a network that outputs its features, such as negcut"):
        Contrast(None, 0, OneDevice(torch.device("cpu")))
