"""Training beyond super resolution: recipes, degradations as it goes, adversaries, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.data.sets import data_set
from clearport.models.training.train import Progress, Tick, TrainOptions, options_for, train
from clearport.pictures.images import save_png
from clearport.registry import NETWORKS

pytestmark = pytest.mark.usefixtures("one_thread")


def press_ctrl_c(_: Progress) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "l1 + 0.1*adversarial"},
        {"loss": "l1 + 0.2*ssim + quasi-sparsity", "degradation": "camera + haze"},
        {"workers": 1},
    ],
    ids=str,
)
def test_a_stopped_run_goes_on_to_the_very_same_weights(options: TrainOptions, changes: dict[str, object]) -> None:
    options = replace(options, **changes)  # type: ignore[arg-type]
    train(options)
    other = replace(options, out=options.out.with_name("other.safetensors"))
    assert train(other, press_ctrl_c).step == 3
    assert train(replace(other, resume=True)).finished
    assert other.out.read_bytes() == options.out.read_bytes()


def test_an_adversary_changes_what_is_learned(options: TrainOptions) -> None:
    seen: list[Tick] = []
    train(options)
    other = replace(options, loss="l1 + 0.5*adversarial", out=options.out.with_name("other.safetensors"))
    train(other, on_tick=seen.append)
    assert other.out.read_bytes() != options.out.read_bytes()
    assert "adversary" in torch.load(other.checkpoint, weights_only=True)


def test_workers_do_not_change_what_is_learned(options: TrainOptions) -> None:
    made = []
    for workers in (0, 2):
        out = options.out.with_name(f"{workers}.safetensors")
        train(replace(options, workers=workers, out=out))
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_classes_that_a_degradation_has_no_use_for_are_told_what_has(options: TrainOptions) -> None:
    folder = options.data[0] / "classes"
    for kind in ("real", "fake"):
        (folder / kind).mkdir(parents=True)
        save_png(folder / kind / "a.png", np.zeros((224, 224, 3), np.uint8))
    asked = options_for("caddm", data=(folder,), out=options.out, degradation="forgery")
    with pytest.raises(BadInput, match=r"no clean photos.* use --degradation labels, and a --loss .*cross-entropy"):
        data_set(asked, NETWORKS.get("caddm"), 1)


@pytest.mark.parametrize("name", ["caddm", "fst"])
def test_detectors_forge_the_targets_of_pairs(options: TrainOptions, name: str) -> None:
    for i in range(3):
        for kind in ("low", "high"):
            (options.data[0] / "pairs" / kind).mkdir(parents=True, exist_ok=True)
            save_png(options.data[0] / "pairs" / kind / f"{i}.png", np.full((224, 224, 3), i, np.uint8))
    asked = options_for(name, data=(options.data[0] / "pairs",), out=options.out)
    assert data_set(asked, NETWORKS.get(name), 1).degradation == "forgery"


@pytest.mark.slow
def test_two_processes_learn_together(options: TrainOptions) -> None:
    pytest.importorskip("lightning_fabric", reason="the extra 'train' is not installed")
    out = options.out
    for resume in ((), ("--resume",)):
        done = subprocess.run(
            [*two_processes(options), *resume], capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(weights.card_path(out).read_text())["training"]["devices"] == 2
    train(replace(options, out=out.with_name("alone.safetensors")))
    assert out.with_name("alone.safetensors").read_bytes() != out.read_bytes()


def two_processes(options: TrainOptions) -> Sequence[str]:
    """The command line that trains as ``options`` say, on twice as much."""
    values = {"data": options.data[0], "out": options.out, "degradation": "haze", "device": "cpu", "devices": 2}
    values |= {"steps": 6, "batch": 2, "patch": 16, "validate-every": 3}
    words = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "clearport", "train", "mobilederain", *words]


TRAINED = [name for name in NETWORKS.names() if not NETWORKS.get(name).weights_of]
FIRST_OF_TASKS = {NETWORKS.get(name).task: name for name in reversed(TRAINED) if name != "e2style"}
"""Task -> the network that every run of the tests trains in bfloat16, too."""


def waits(name: str, *, bfloat16: bool) -> bool:
    """Whether a training waits for ``make test-all``: E2Style draws with a generator of 128x128."""
    return name == "e2style" or (bfloat16 and name not in FIRST_OF_TASKS.values())


@pytest.mark.parametrize(
    ("name", "bfloat16"),
    [
        pytest.param(name, bfloat16, marks=[pytest.mark.slow] * waits(name, bfloat16=bfloat16))
        for bfloat16 in (False, True)
        for name in TRAINED
    ],
)
def test_every_network_learns_as_its_recipe_says(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch, name: str, bfloat16: bool
) -> None:
    """Also where the processor has bfloat16: what does not go together with it is trained without."""
    monkeypatch.setattr("clearport.models.training.run._has_bfloat16", lambda _: bfloat16)
    spec = NETWORKS.get(name)
    patch = max(16, 2 * spec.size_multiple, spec.least_side)
    times = max(5, -(-patch // 16))
    for i, path in enumerate(pictures_for(spec, options.data[0])):
        level = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, level.repeat(times, axis=0).repeat(times, axis=1))
    given = {"out": options.out, "steps": 2, "batch": 2, "validate_every": 2, "patch": patch}
    of_photos = "layout" not in spec.recipe and "unpaired" not in spec.recipe.get("degradation", "")
    if spec.scales == (1,) and not spec.inputs and of_photos:
        given["degradation"] = "haze"  # the bank of rain takes its time
    result = train(options_for(name, data=options.data, workers=0, **given))
    loaded = weights.load(spec, spec.default_scale, result.weights)
    assert loaded.card["training"]["loss"] == spec.recipe.get("loss", "l1")
    torch.manual_seed(0)
    fresh = dict(spec.build(spec.default_scale).named_parameters())
    assert any(not torch.equal(fresh[name], value) for name, value in loaded.module.named_parameters())


def pictures_for(spec: ModelSpec, folder: Path) -> list[Path]:
    """Where pictures should be for a network to learn from ``folder``, which holds photos."""
    if spec.recipe.get("layout") == "domains":
        return [folder / kind / f"{i}.png" for kind in ("trainA", "trainB") for i in range(3)]
    if spec.task == "deepfake-detection" and len(spec.inputs) > 1:  # clips
        return [folder / kind / f"video{i // 2}" / f"{i}.png" for kind in ("real", "fake") for i in range(4)]
    return [folder / f"{i}.png" for i in range(3)]
