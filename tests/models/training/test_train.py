"""Training: it learns, it repeats to the bit, and it can be stopped at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.errors import BadInput, CheckFailed
from clearport.models import weights
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.models.training.options import learning_rate
from clearport.models.training.train import Progress, TrainOptions, restore, train
from clearport.models.training.widen import WideConv2d, Widening, collapse, widen

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def options(tmp_path: Path, waves: Callable[[int, int], Path]) -> TrainOptions:
    """Sixty quick steps on a tiny folder of smooth pictures."""
    return TrainOptions(
        network="ncnet",
        data=(waves(48, 60),),
        out=tmp_path / "mine.safetensors",
        scale=2,
        steps=60,
        batch=4,
        patch=12,
        validation_photos=2,
        validate_every=20,
        lr=1e-3,
        bfloat16=False,
    )


def test_it_lowers_the_loss_and_beats_where_it_began(options: TrainOptions) -> None:
    seen: list[Progress] = []
    result = train(options, seen.append)
    assert [p.step for p in seen] == [20, 40, 60]
    assert seen[-1].loss < 0.8 * seen[0].loss
    assert seen[-1].psnr_db > seen[0].psnr_db + 0.5
    assert seen[-1].share == 1.0
    assert seen[-1].eta_s == 0.0
    assert result.finished
    assert result.best_psnr_db == max(p.psnr_db for p in seen)
    card = weights.load(SPEC, 2, result.weights).card
    assert card["training"]["steps_done"] == 60
    assert card["data"]["folders"] == ["photos"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(options: TrainOptions, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / name / "weights.safetensors"
        train(replace(options, seed=seed, steps=12, out=out))
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert made[0] != made[2]


def stop_at(step: int) -> object:
    """A progress callback that does what Ctrl-C does."""

    def press(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return press


@pytest.mark.parametrize(
    ("optimizer", "widen", "bfloat16"), [("soap", 0, False), ("soap", 0, True), ("adam", 2, False)]
)
def test_a_stopped_run_goes_on_to_the_very_same_weights(
    options: TrainOptions, tmp_path: Path, optimizer: str, widen: int, bfloat16: bool
) -> None:
    options = replace(options, steps=30, validate_every=10, optimizer=optimizer, widen=widen, bfloat16=bfloat16)
    train(options)
    other = replace(options, out=tmp_path / "other.safetensors")
    stopped = train(other, stop_at(10))
    assert not stopped.finished
    assert stopped.step == 10
    assert not other.out.exists()
    resumed = train(replace(other, resume=True))
    assert resumed.finished
    assert resumed.step == 30
    assert other.out.read_bytes() == options.out.read_bytes()


KILLED = """
import sys, torch
from pathlib import Path
from clearport.models.training.train import TrainOptions, train
torch.set_num_threads(1)
train(TrainOptions("ncnet", (Path(sys.argv[1]),), Path(sys.argv[2]), scale=2, steps=100000, batch=4, patch=12,
    validation_photos=2, validate_every=5, lr=1e-3, bfloat16=False), lambda p: print(p.step, flush=True))
"""


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL],
    ids=lambda number: number.name,
)
def test_a_killed_run_leaves_a_checkpoint_that_goes_on(options: TrainOptions, number: signal.Signals) -> None:
    command = [sys.executable, "-c", KILLED, str(options.data[0]), str(options.out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 10:
            pass
        process.send_signal(number)
        process.stdout.read()
    assert process.returncode == (-9 if number is signal.SIGKILL else 0)
    assert not options.out.exists()
    assert not list(options.out.parent.glob("*.partial")) or number is signal.SIGKILL
    resumed = train(
        replace(options, steps=100_000, validate_every=5, resume=True),
        lambda _: os.kill(os.getpid(), signal.SIGINT),
    )
    assert resumed.step > 10


def test_a_checkpoint_of_another_training_is_refused(options: TrainOptions) -> None:
    with pytest.raises(BadInput, match="no checkpoint"):
        train(replace(options, resume=True))
    train(options, stop_at(20))
    with pytest.raises(BadInput, match=r"lr 0\.001, now 0\.002"):
        train(replace(options, lr=2e-3, resume=True))
    data = options.checkpoint.read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"text"):
        options.checkpoint.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"mine\.safetensors\.checkpoint: (damaged|a pickle)"):
            train(replace(options, resume=True))
    torch.save({"tail.bias": torch.zeros(3)}, options.checkpoint)
    with pytest.raises(BadInput, match="not a training checkpoint"):
        train(replace(options, resume=True))


def test_minutes_end_a_run(options: TrainOptions) -> None:
    began = time.monotonic()
    result = train(replace(options, steps=None, minutes=0.03, validate_every=1000))
    assert result.finished
    assert result.step > 0
    assert time.monotonic() - began < 240


def test_a_run_can_start_from_other_weights(options: TrainOptions, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    torch.manual_seed(3)
    network = SPEC.build(2)
    weights.save(start, network, "ncnet", 2, {})
    result = train(replace(options, start=start, steps=1, lr=1e-12, clip_norm=1e-9))
    made = weights.load(SPEC, 2, result.weights).module
    torch.testing.assert_close(made.state_dict(), network.state_dict(), atol=1e-6, rtol=0)


def test_a_diverging_run_says_so(options: TrainOptions) -> None:
    with pytest.raises(CheckFailed, match="smaller --lr"):
        train(replace(options, lr=1e18, warmup=0.0, clip_norm=1e30))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": None},
        {"minutes": 1.0},
        {"steps": 0},
        {"batch": 0},
        {"patch": -1},
        {"lr": float("nan")},
        {"seed": -1},
        {"shrink": (1.5,)},
        {"scale": 5},
        {"network": "nonet"},
        {"loss": "l3"},
        {"optimizer": "sgd"},
        {"validation_photos": 0},
        {"data": ()},
    ],
    ids=str,
)
def test_bad_options_are_refused(options: TrainOptions, change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        train(replace(options, **change))


def test_the_learning_rate_rises_and_then_falls_to_nothing(options: TrainOptions) -> None:
    rates = [learning_rate(options, i / 1000) for i in range(1001)]
    top = int(np.argmax(rates))
    assert top == 50
    assert rates[top] == pytest.approx(options.lr)
    assert (np.diff(rates[1 : top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


def test_photos_to_judge_by_can_be_given(options: TrainOptions) -> None:
    seen: list[Progress] = []
    train(replace(options, steps=2, validation_data=options.data[0]), seen.append)
    assert json.loads(weights.card_path(options.out).read_text())["quality"]["validation"]["pictures"] == 6
    assert len(seen) == 1


@pytest.mark.parametrize("factor", [0, 2])
def test_a_widened_network_computes_the_plain_one(factor: int) -> None:
    torch.manual_seed(0)
    network = SPEC.build(3)
    trainee = widen(network, Widening(factor, bfloat16=False, bias_unit=255.0))
    for parameter in trainee.parameters():
        torch.nn.init.normal_(parameter, std=0.03)
    network.load_state_dict(collapse(trainee))
    image = torch.rand(2, 3, 9, 11) * 255
    torch.testing.assert_close(network.train()(image), trainee(image), rtol=1e-4, atol=1e-2)
    assert sum(isinstance(module, WideConv2d) for module in trainee.modules()) == 7


def test_bfloat16_keeps_the_levels_of_the_image() -> None:
    network = SPEC.build(2)
    torch.nn.init.zeros_(network.tail.weight)
    trainee = widen(network, Widening(2, bfloat16=True, bias_unit=255.0))
    image = torch.arange(256.0).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(trainee(image), network.train()(image))
    assert trainee(image).dtype == torch.float32


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)])
def test_pictures_go_through_a_network_in_its_own_range(value_range: tuple[float, float]) -> None:
    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    seen = []

    class Watch(torch.nn.Identity):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append((float(pixels.min()), float(pixels.max())))
            return pixels

    np.testing.assert_array_equal(restore(Watch(), image, value_range), image)
    black, white = value_range
    assert seen[0] == pytest.approx((black, black + (white - black) * 191 / 255))
