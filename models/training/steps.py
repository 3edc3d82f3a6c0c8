"""The training loop's steps, for any trainable: batches, learning-rate schedule, validation and checkpoints."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch

from clearport.errors import BadInput, CheckFailed
from clearport.models.data.feed import Feed, workers_for
from clearport.models.training import checkpoint as train_checkpoint
from clearport.models.training import written as train_outputs
from clearport.models.training.device import cores
from clearport.models.training.log import Log
from clearport.models.training.options import Progress, Tick, learning_rate
from clearport.models.training.state import Pace
from clearport.pictures.images import save_png

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from clearport.models.data.crops import Batch
    from clearport.models.data.sets import DataSet
    from clearport.models.training.device import Place
    from clearport.models.training.options import TrainOptions
    from clearport.models.training.state import State
    from clearport.pictures.images import Image8


class Steps(ABC):
    """Base of ``Run`` (a network) and of the training of int8 forms; subclasses call ``begin`` last in ``__init__``.

    Attributes:
        options, data, place: of the training run.
        optimizer: of the trained parameters.
        state: counters, the moving average, and the best average so far.
        units: names of the two metrics of a validation.
    """

    options: TrainOptions
    data: DataSet
    place: Place
    optimizer: torch.optim.Optimizer
    state: State
    units: tuple[str, str]

    def begin(self) -> None:
        """Set up logging and batches for the first step."""
        self.log = Log(self.options.log if self.place.rank == 0 else None)
        self.pace = Pace(0)
        self._batches: Iterator[Batch] | None = None
        self._values: dict[str, torch.Tensor] = {}
        self._preview: Image8 | None = None

    @abstractmethod
    def _learn(self, given: Batch) -> torch.Tensor:
        """One optimizer step on a batch of 8-bit images; returns the loss (scalar)."""

    @abstractmethod
    def _now(self) -> Mapping[str, torch.Tensor]:
        """The current tensors that the moving average tracks, by name."""

    @abstractmethod
    def _validate(self) -> tuple[float, float]:
        """Evaluate the moving average, and keep it if it is the best so far; returns its two metrics (``units``)."""

    @abstractmethod
    def _saved(self) -> dict[str, Any]:
        """Entries of a checkpoint besides optimizer and state; ``trained`` identifies the run."""

    def share(self) -> float:
        """The completed fraction of the run, 0..1."""
        options, state = self.options, self.state
        if options.steps is not None:
            return min(1.0, state.step / options.steps)
        assert options.minutes is not None
        return min(1.0, state.elapsed_s / (60.0 * options.minutes))

    def advance(self) -> None:
        """One optimizer step, including those of the losses' networks."""
        began, state = time.monotonic(), self.state
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.share())
        loss = self._learn(next(self._feed()))
        state.step += 1
        state.average_in(self._now(), self.options.ema)
        state.losses.append(loss.detach())
        state.elapsed_s = self.place.agree(state.elapsed_s + time.monotonic() - began)

    def _feed(self) -> Iterator[Batch]:
        if self._batches is None:
            options, crops = self.options, self.data.crops
            workers = workers_for(
                options.workers, self.place.device, on_the_fly=bool(crops.degraders), cores=cores() // options.devices
            )
            feed = Feed(crops, options.batch, options.seed, self.place.rank, workers)
            self._batches = feed.after(self.state.step)
        return self._batches

    def tick_is_due(self) -> bool:
        """Whether ``tick`` should be called."""
        return self.pace.tick_is_due()

    def tick(self) -> Tick:
        """The run's progress, which is also logged."""
        state, share = self.state, self.share()
        values = {name: float(value) for name, value in self._values.items()}
        rate, lr = self.pace.steps_per_s(state.step), self.optimizer.param_groups[0]["lr"]
        tick = Tick(state.step, share, state.mean_loss(), lr, rate, _eta_s(state.elapsed_s, share), values)
        self.log.tick(tick)
        return tick

    def report(self) -> Progress:
        """Validate the moving average, keep it if it is the best so far, and save checkpoint and preview.

        Raises:
            CheckFailed: the last loss is not finite.
        """
        state, began, tick = self.state, time.monotonic(), self.tick()
        last = float(state.losses[-1])
        if not math.isfinite(last):
            raise CheckFailed(f"the loss is {last} at step {state.step}: train with a smaller --lr")
        state.losses = []
        rgb, luma = self._validate()
        unsaved = self._kept_up()
        state.elapsed_s = self.place.agree(state.elapsed_s + time.monotonic() - began)
        self.pace.mark(state.step)
        best = state.best_psnr_db if state.best_psnr_db > -math.inf else math.nan
        eta_s = _eta_s(state.elapsed_s, tick.share)
        return Progress(
            state.step,
            tick.share,
            tick.loss,
            tick.lr,
            rgb,
            best,
            tick.steps_per_s,
            eta_s,
            luma,
            unsaved,
            self.units,
        )

    def _kept_up(self) -> str:
        """Write checkpoint and preview; returns the error if that fails, as a full disk should not end a long run."""
        try:
            self.save_checkpoint(self.options.checkpoint)
            if self._preview is not None:
                save_png(self.options.preview_path, self._preview)
        except BadInput as error:
            return str(error)
        return self.log.problem

    def save_last_checkpoint(self) -> None:
        """``save_checkpoint`` at the end of an interrupted run.

        Raises:
            BadInput: it could not be written; the message names the fallback path.
        """
        what = f"move this to {self.options.checkpoint} before --resume"
        train_outputs.save_or_keep(self.options.checkpoint, self.save_checkpoint, what)

    def save_checkpoint(self, path: Path) -> None:
        """Write everything that ``restore`` needs (rank 0 only)."""
        if self.place.rank != 0:
            return
        saved = {**self._saved(), "optimizer": self.optimizer.state_dict(), **self.state.saved()}
        train_checkpoint.save(path, saved)


def _eta_s(elapsed_s: float, share: float) -> float:
    return elapsed_s * (1.0 - share) / max(share, 1e-9)
