"""Training from scratch on any folder of photos.

    train(TrainOptions(network="ncnet", data=(Path("photos"),), out=Path("ncnet_x3.safetensors"), minutes=30))

The recipe is the field's plain one: random crops with flips and rotations, L1, a warm-up and a cosine down to
nothing, a moving average of the weights (EMA), which is what is judged and kept. Two things come on top: the
optimiser (``soap``; plain Adam can be had), and convolutions in training dress (``train_widen``). The length is given
in steps, which makes a run repeatable to the bit on one machine, or in minutes of wall time, which makes the schedule
fit whatever else the machine is doing.

While it runs, ``<out>.checkpoint`` holds everything that a later run needs to go on: it is replaced atomically, so
a run can be killed at any moment.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from clearport.base import CheckFailed, ModelSpec
from clearport.models import train_checkpoint, weights
from clearport.models.data import Crops, Pair, centre, photo_pairs, split
from clearport.models.losses import loss as loss_by_name
from clearport.models.metrics import psnr_db, to_levels
from clearport.models.soap import Soap
from clearport.models.train_options import Progress, TrainOptions, TrainResult, identity, learning_rate
from clearport.models.train_widen import Widening, collapse, widen
from clearport.registry import NETWORKS

if TYPE_CHECKING:
    from clearport.images import Image8

__all__ = ["Progress", "TrainOptions", "TrainResult", "train"]


@dataclass
class _State:
    """All that changes in a run, apart from the trainee and its optimiser."""

    rng: np.random.Generator
    average: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    step: int = 0
    elapsed_s: float = 0.0
    psnr_db: float = -math.inf
    best_psnr_db: float = -math.inf
    losses: list[float] = field(default_factory=list)


def train(options: TrainOptions, on_progress: Callable[[Progress], None] = lambda _: None) -> TrainResult:
    """Train a network; ``on_progress`` is called after every validation.

    Called in the main thread, Ctrl-C and SIGTERM end the run after the step in flight and save the checkpoint.

    Raises:
        BadInput: options, data, starting weights or checkpoint cannot be used.
        CheckFailed: the loss is no longer a number.
    """
    spec: ModelSpec = NETWORKS.get(options.network)
    run = _Run(options, spec, weights.checked_scale(spec, options.scale))
    if options.resume:
        run.restore()
    with _interruptible() as interrupted:
        while run.share() < 1.0 and not interrupted.is_set():
            run.advance()
            if run.state.step % options.validate_every == 0 or run.share() >= 1.0:
                on_progress(run.report())
    if interrupted.is_set():
        run.save_checkpoint()
    finished = run.share() >= 1.0
    if finished:
        run.save_weights()
    return TrainResult(finished, run.state.step, run.state.best_psnr_db, options.out, options.checkpoint)


class _Run:
    """One training run: data, network, optimiser and state."""

    def __init__(self, options: TrainOptions, spec: ModelSpec, scale: int) -> None:
        self.options, self.spec, self.scale = options, spec, scale
        self.crops, self.validation = _data(options, scale)
        self.loss = loss_by_name(options.loss)
        self.peak = spec.value_range[1] - spec.value_range[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.plain = spec.build(scale)
            if options.start is not None:
                weights.start_from(self.plain, options.start)
            self.trainee = widen(self.plain, Widening(options.widen, _use_bfloat16(options), self.peak))
        parameters = [p for p in self.trainee.parameters() if p.requires_grad]
        self.optimiser = _optimiser(options, parameters)
        average = _copy(collapse(self.trainee))
        self.state = _State(np.random.default_rng([options.seed, 1]), average, _copy(average))
        self._mark = (time.monotonic(), self.state.step)

    def share(self) -> float:
        """How much of the run is done, 0..1."""
        options, state = self.options, self.state
        if options.steps is not None:
            return min(1.0, state.step / options.steps)
        assert options.minutes is not None
        return min(1.0, state.elapsed_s / (60.0 * options.minutes))

    def advance(self) -> None:
        """One optimiser step."""
        began = time.monotonic()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.options, self.share())
        low, high = (self._ranged(t) for t in self.crops.batch(self.options.batch, self.state.rng))
        loss = self.loss(self.trainee(low), high, self.peak)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.trainee.parameters(), self.options.clip_norm)
        self.optimiser.step()
        self.state.step += 1
        self._average()
        self.state.losses.append(loss.item())
        self.state.elapsed_s += time.monotonic() - began

    def _ranged(self, levels: torch.Tensor) -> torch.Tensor:
        return levels * (self.peak / 255.0) + self.spec.value_range[0]

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.options.ema, (1 + self.state.step) / (10 + self.state.step))
        for key, value in collapse(self.trainee).items():
            self.state.average[key].lerp_(value, 1.0 - decay)

    def report(self) -> Progress:
        """Validate the average, keep it if it is the best so far, and save the checkpoint."""
        state, began = self.state, time.monotonic()
        if not math.isfinite(state.losses[-1]):
            raise CheckFailed(f"the loss is {state.losses[-1]} at step {state.step}: train with a smaller --lr")
        rate = (state.step - self._mark[1]) / max(1e-9, began - self._mark[0])
        self.plain.load_state_dict(state.average)
        state.psnr_db = validation_psnr_db(self.plain, self.spec, self.scale, self.validation)
        if state.psnr_db >= state.best_psnr_db:
            state.best_psnr_db = state.psnr_db
            state.best = _copy(state.average)
        loss, lr, share = float(np.mean(state.losses)), self.optimiser.param_groups[0]["lr"], self.share()
        state.losses = []
        self.save_checkpoint()
        state.elapsed_s += time.monotonic() - began
        self._mark = (time.monotonic(), state.step)
        eta_s = state.elapsed_s * (1.0 - share) / share
        return Progress(state.step, share, loss, lr, state.psnr_db, state.best_psnr_db, rate, eta_s)

    def save_checkpoint(self) -> None:
        """Write everything that ``restore`` needs."""
        state = self.state
        train_checkpoint.save(
            self.options.checkpoint,
            {
                "trained": identity(self.options, self.scale),
                "trainee": self.trainee.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": state.average,
                "best": state.best,
                "rng": state.rng.bit_generator.state,
                "losses": state.losses,
                "counters": {name: getattr(state, name) for name in _COUNTERS},
            },
        )

    def restore(self) -> None:
        """Go on from the checkpoint.

        Raises:
            BadInput: there is none, it cannot be read, or it belongs to another training.
        """
        path, state = self.options.checkpoint, self.state
        saved = train_checkpoint.load(path, identity(self.options, self.scale))
        self.trainee.load_state_dict(saved["trainee"])
        self.optimiser.load_state_dict(saved["optimiser"])
        state.average, state.best, state.losses = saved["average"], saved["best"], saved["losses"]
        state.rng.bit_generator.state = saved["rng"]
        for name in _COUNTERS:
            setattr(state, name, saved["counters"][name])
        self._mark = (time.monotonic(), state.step)

    def save_weights(self) -> None:
        """Write the best average as safetensors, and its card."""
        self.plain.load_state_dict(self.state.best)
        weights.save(self.options.out, self.plain, self.spec.name, self.scale, {})
        weights.save_card(self.options.out, self._card())

    def _card(self) -> dict[str, Any]:
        options, state = self.options, self.state
        return {
            "network": self.spec.name,
            "scale": self.scale,
            "data": {"folders": [folder.name for folder in options.data], "crops_from": len(self.crops.pairs)},
            "training": {
                **identity(options, self.scale),
                "shrink": list(options.shrink),
                "start": None if options.start is None else options.start.name,
                "steps_done": state.step,
                "minutes_taken": round(state.elapsed_s / 60.0, 1),
            },
            "quality": {"validation": {"rgb_psnr_db": round(state.best_psnr_db, 3), "pictures": len(self.validation)}},
        }


_COUNTERS = ("step", "elapsed_s", "psnr_db", "best_psnr_db")


def validation_psnr_db(network: nn.Module, spec: ModelSpec, scale: int, pairs: tuple[Pair, ...]) -> float:
    """Mean RGB PSNR in dB over ``pairs``, a border of ``scale`` pixels cut, outputs clipped and rounded to 8 bit."""
    network.eval()
    made = [restore(network, pair.low, spec.value_range) for pair in pairs]
    return float(np.mean([psnr_db(image, pair.high, scale) for image, pair in zip(made, pairs, strict=True)]))


@torch.no_grad()
def restore(network: nn.Module, image: Image8, value_range: tuple[float, float] = (0.0, 255.0)) -> Image8:
    """Run a network on one uint8 picture (H, W, 3); ``value_range`` is what black and white are to it."""
    black, step = value_range[0], (value_range[1] - value_range[0]) / 255.0
    levels = torch.tensor(image).permute(2, 0, 1)[None].float()
    return to_levels(((network(levels * step + black) - black) / step)[0].permute(1, 2, 0).numpy())


def _data(options: TrainOptions, scale: int) -> tuple[Crops, tuple[Pair, ...]]:
    groups = photo_pairs(options.data, scale, options.patch, options.shrink)
    if options.validation_data is None:
        parts = split(groups, options.validation_photos, options.seed)
        training, judged = parts.training, parts.validation
    else:
        training = tuple(pair for group in groups for pair in group)
        judged = tuple(group[0] for group in photo_pairs([options.validation_data], scale, 3))
    return Crops(training, scale, options.patch), tuple(centre(pair, scale, _JUDGED_SIDE) for pair in judged)


_JUDGED_SIDE = 96


def _copy(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in state.items()}


def _optimiser(options: TrainOptions, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if options.optimiser == "soap":
        return Soap(parameters, lr=options.lr)
    return torch.optim.Adam(parameters, lr=options.lr, fused=True)


def _use_bfloat16(options: TrainOptions) -> bool:
    if options.bfloat16 is not None:
        return options.bfloat16
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - torch has no public name for it


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set instead of ending the process."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def note(_signal: int, _frame: FrameType | None) -> None:
        interrupted.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
