"""Training beyond super resolution: recipes, degradations as it goes, adversaries, teachers, what can be watched."""

from __future__ import annotations

import json
import math
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
from torch import nn

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.data.pair import Pair
from clearport.models.data.sets import data_set
from clearport.models.training.judge import judge, preview
from clearport.models.training.outputs import Restored
from clearport.models.training.state import State
from clearport.models.training.teachers import Teachers
from clearport.models.training.train import Progress, Tick, TrainOptions, options_for, train
from clearport.models.training.widen import Widening, collapse, widen
from clearport.pictures.images import load_rgb, save_png
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


def test_a_student_nears_its_teachers_without_any_target(options: TrainOptions, tmp_path: Path) -> None:
    torch.manual_seed(5)
    teacher = NETWORKS.get("mobilederain").build(1)
    with torch.no_grad():
        teacher.tail.bias += 30.0  # takes 30 levels away everywhere
    weights.save(tmp_path / "teacher.safetensors", teacher, "mobilederain", 1, {})
    seen: list[Progress] = []
    student = replace(
        options,
        degradation="unpaired",
        loss="distillation",
        teachers=(f"mobilederain={tmp_path / 'teacher.safetensors'}",),
        steps=60,
        validate_every=20,
        lr=5e-3,
    )
    result = train(student, seen.append)
    assert seen[-1].loss < 0.5 * seen[0].loss
    assert math.isnan(result.best_psnr_db)
    assert result.weights.is_file()
    card = json.loads(weights.card_path(result.weights).read_text())
    assert card["quality"]["validation"]["rgb_psnr_db"] is None
    assert card["training"]["teachers"] == ["mobilederain"]


def test_a_teacher_of_one_degradation_is_asked_about_that_alone(tmp_path: Path) -> None:
    from clearport.models.data.crops import Batch

    path = tmp_path / "teacher.safetensors"
    weights.save(path, NETWORKS.get("mobilederain").build(1), "mobilederain", 1, {})
    teachers = Teachers([f"mobilederain={path}@haze"], ("camera", "haze"), 1, torch.device("cpu"))
    low = torch.rand(2, 3, 8, 8) * 255
    with torch.no_grad():
        shown = teachers.teachers[0].network(low)
    off = shown + torch.tensor([51.0, 0.0]).view(2, 1, 1, 1)  # wrong on the first picture
    hazy_first, hazy_second = (Batch(low, None, kinds=torch.tensor(kinds)) for kinds in ([1, 0], [0, 1]))
    assert float(teachers(Restored(off), hazy_first, 255.0)) == pytest.approx(0.2, abs=1e-5)
    assert float(teachers(Restored(off), hazy_second, 255.0)) == pytest.approx(0.0, abs=1e-6)


def test_bad_teachers(options: TrainOptions) -> None:
    for teachers, complaint in (
        ((), "--teacher NETWORK=WEIGHTS"),
        (("mobilederain",), "expected NETWORK=WEIGHTS"),
        (("nonet=x",), "unknown network"),
        (("ncnet=x",), "does not support the student.s scale 1"),
        (("mobilederain=x@camera",), "'camera' is not in --degradation, which has: haze"),
        (("mobilederain=none.safetensors",), "none at this path"),
    ):
        with pytest.raises(BadInput, match=complaint):
            train(replace(options, loss="distillation", teachers=teachers))


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
def test_a_validation_of_one_class_is_told(options: TrainOptions, videos: int, *, told: bool) -> None:
    folder = options.data[0] / "classes"
    for kind in ("real", "fake"):
        for i in range(videos):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            save_png(folder / kind / f"{i}.png", np.full((224, 224, 3), i, np.uint8))
    asked = options_for("caddm", data=(folder,), out=options.out)
    found = data_set(asked, NETWORKS.get("caddm"), 1)
    assert found.degradation == "labels"
    assert any("judged by pictures of one class" in note for note in found.notes) == told


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


class Counting(nn.Module):
    """A network with batch normalization, that computes with the kernel of one of its convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.normal = nn.BatchNorm2d(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.normal(self.first(image))
        return nn.functional.conv2d(features, 0.5 * self.second.weight, self.second.bias, padding=1)


def test_networks_may_count_and_may_read_their_kernels() -> None:
    torch.manual_seed(0)
    plain = Counting()
    trainee = widen(plain, Widening(2, bfloat16=False, bias_unit=255.0))
    for parameter in trainee.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    image = torch.rand(2, 3, 8, 8) * 255
    state = State({k: v.clone() for k, v in collapse(trainee).items()}, {})
    trainee(image)
    state.average_in(collapse(trainee), 0.9)
    assert int(state.average["normal.num_batches_tracked"]) == 1
    plain.load_state_dict(collapse(trainee))
    torch.testing.assert_close(plain.eval()(image), trainee.eval()(image))


@pytest.mark.parametrize(("side", "in_float32"), [(1, True), (2, True), (3, False)])
def test_features_smaller_than_a_kernel_are_convolved_in_float32(side: int, in_float32: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(48, 64, 3, stride=2, padding=1))
    trainee = widen(plain, Widening(0, bfloat16=True, bias_unit=1.0))
    made = trainee(torch.randn(2, 48, side, side))
    assert (made.dtype == torch.float32) == in_float32
    made.float().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trainee.parameters())


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "e2style" else ())  # draws with a generator of 128x128
        for name in NETWORKS.names()
        if not NETWORKS.get(name).weights_of
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
