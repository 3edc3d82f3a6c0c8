"""Options of a training: recipes, what goes before what, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearport.errors import BadInput, NotInstalled
from clearport.models.data import degrade
from clearport.models.losses import table as losses
from clearport.models.training.train import TrainOptions, options_for, train
from clearport.registry import NETWORKS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", NETWORKS.names())
def test_recipes_can_be_used(name: str) -> None:
    options = options_for(name, data=(Path("photos"),), out=Path("out.safetensors"))
    recipe = NETWORKS.get(name).recipe
    assert all(getattr(options, key) == value for key, value in recipe.items())
    assert losses.parse(options.loss)
    assert options.degradation is None or degrade.parse(options.degradation)
    assert options.patch % NETWORKS.get(name).size_multiple == 0
    assert options.minutes == 60 or {"steps", "minutes"} & set(recipe)


def test_given_options_override_the_recipe_and_that_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(NETWORKS.get("ncnet"), recipe={"loss": "l2", "patch": 48, "minutes": 5.0})
    monkeypatch.setattr("clearport.models.networks.super_resolution.ncnet.SPEC", spec)
    made = options_for("ncnet", data=(), out=Path("x"), patch=24, loss=None, steps=7)
    assert (made.loss, made.patch, made.batch) == ("l2", 24, TrainOptions.batch)
    assert (made.steps, made.minutes) == (7, None)
    assert options_for("ncnet", data=(), out=Path("x")).minutes == 5.0
    monkeypatch.setattr("clearport.models.networks.super_resolution.ncnet.SPEC", replace(spec, recipe={"los": "l2"}))
    with pytest.raises(ValueError, match="los"):
        options_for("ncnet", data=(), out=Path("x"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"degradation": "snow"}, r"unknown degradation 'snow' \(available: bicubic, camera, composite, diffusion"),
        ({"degradation": "haze + pairs"}, "cannot be mixed"),
        ({"layout": "lmdb"}, "unknown layout"),
        ({"loss": "l1 + vgg"}, "unknown loss 'vgg'"),
        ({"patch": 18}, "multiples of 4"),
        ({"device": "tpu"}, r"unknown device 'tpu' \(available: auto, cpu, cuda\)"),
        ({"workers": -1}, "--workers"),
        ({"devices": 0}, "--devices"),
        ({"bias_unit": 0.0}, "bias unit"),
        ({"exclude": (Path("none.json"),)}, r"none\.json"),
        ({"network": "ncnet", "degradation": "haze", "scale": 2}, "keeps the size"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options: TrainOptions, change: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        train(replace(options, **change))  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_reported(options: TrainOptions) -> None:
    with pytest.raises(BadInput, match="torch finds 0 GPUs"):
        train(replace(options, device="cuda"))


@pytest.mark.parametrize(
    ("module", "change"),
    [("lightning_fabric", {"devices": 2, "device": "cpu"}), ("torch.utils.tensorboard", {"log": Path("log")})],
)
def test_a_missing_package_is_reported_with_its_extra(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch, module: str, change: dict[str, object]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotInstalled, match=r"clearport\[train\]"):
        train(replace(options, **change))  # type: ignore[arg-type]
