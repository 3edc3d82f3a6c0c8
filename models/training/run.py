"""One training run: data, network, optimizer and state, and the steps that change them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from clearport.errors import BadInput, CheckFailed
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.data import degrade
from clearport.models.data.feed import Feed, workers_for
from clearport.models.data.sets import data_set
from clearport.models.losses import table as losses
from clearport.models.training import checkpoint as train_checkpoint
from clearport.models.training import written as train_outputs
from clearport.models.training.card import card_of
from clearport.models.training.device import cores, place_for
from clearport.models.training.judge import judge, preview, units_of
from clearport.models.training.log import Log
from clearport.models.training.options import Progress, Tick, TrainOptions, identity, learning_rate
from clearport.models.training.outputs import Restored, restored, taken
from clearport.models.training.soap import Soap
from clearport.models.training.state import Pace, State, copied
from clearport.models.training.teachers import Teachers
from clearport.models.training.widen import Widening, collapse, widen
from clearport.pictures.images import save_png

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.models.data.crops import Batch
    from clearport.models.training.adversary import Adversary
    from clearport.models.training.contrast import Contrast
    from clearport.pictures.images import Image8


class Run:
    """A training, ready for its first step. ``plain`` is the network as it is kept, ``trainee`` as it learns.

    Raises:
        BadInput: options, data or starting weights cannot be used.
    """

    def __init__(self, options: TrainOptions, spec: ModelSpec, scale: int) -> None:
        losses.parse(options.loss)  # report misspelled names before reading data
        if options.patch % spec.size_multiple:
            raise BadInput(f"--patch {options.patch}: {spec.name} requires multiples of {spec.size_multiple}")
        self.place = place_for(options)
        self.spec, self.scale = spec, scale
        self.data = data_set(options, spec, scale, shares=options.devices)
        self.options = replace(options, degradation=self.data.degradation)
        self.peak = spec.value_range[1] - spec.value_range[0]
        self.start: weights.Start | None = None
        self.plain = self._fresh()
        self.trainee = self._dressed()
        parameters = [p for p in self.trainee.parameters() if p.requires_grad]
        self.optimizer = _optimizer(options, parameters)
        self.rivals: list[Adversary | Contrast] = []
        self.objective = self._objective()
        average = copied(collapse(self.trainee))
        self.state = State(average, copied(average))
        self.log = Log(options.log if self.place.rank == 0 else None)
        self._pace = Pace(0)
        self._batches: Iterator[Batch] | None = None
        self._values: dict[str, torch.Tensor] = {}
        self._preview: Image8 | None = None

    def _fresh(self) -> nn.Module:
        torch.manual_seed(self.options.seed)
        plain: nn.Module = self.spec.build(self.scale)
        if self.options.start is not None:
            options = self.options
            self.start = weights.start_from(
                plain, self.spec, self.scale, self.options.start, partial=options.start_partial
            )
        return plain.to(self.place.device)

    def _dressed(self) -> nn.Module:
        """The trainee, in bfloat16 where that was asked for, or is quicker and works."""
        bfloat16 = self.options.bfloat16
        if bfloat16 is None:
            coarse = not self.spec.inputs and self.spec.task != "low-light"
            bfloat16 = _has_bfloat16(self.place.device) and coarse and self._takes_bfloat16()
        return widen(self.plain, Widening(self.options.widen, bfloat16, self.options.bias_unit or self.peak))

    def _takes_bfloat16(self) -> bool:
        """Whether all operators of the network go together with convolutions in bfloat16."""
        trainee = widen(self.plain, Widening(0, bfloat16=True, bias_unit=self.peak))
        image = torch.zeros(2, 3, self.options.patch, self.options.patch, device=self.place.device)
        try:
            torch.autograd.backward(restored(trainee(image)).image.float().sum())
        except RuntimeError:
            return False
        return True

    def _objective(self) -> losses.Objective:
        others: dict[str, losses.Loss] = {}
        wanted = {term.name for term in losses.parse(self.options.loss)}
        kinds = degrade.parse(self.data.degradation)
        if losses.DISTILLATION in wanted:
            others[losses.DISTILLATION] = Teachers(self.options.teachers, kinds, self.scale, self.place.device)
        if losses.ADVERSARIAL in wanted:
            from clearport.models.training.adversary import Adversary

            others[losses.ADVERSARIAL] = adversary = Adversary(self.options.seed, self.place)
            self.rivals.append(adversary)
        if losses.CONTRAST in wanted:
            from clearport.models.training.contrast import Contrast

            channels = getattr(self.plain, "contrasted", None)
            others[losses.CONTRAST] = contrast = Contrast(channels, self.options.seed, self.place)
            self.rivals.append(contrast)
        targets, unaligned = kinds[0] not in {degrade.UNPAIRED, degrade.LABELS}, kinds[0] == degrade.DOMAINS
        return losses.Objective(self.options.loss, others, targets=targets, unaligned=unaligned)

    def notes(self) -> tuple[str, ...]:
        """Lines for the user on the files that were read."""
        return (*self.data.notes, *(() if self.start is None else (str(self.start),)))

    def share(self) -> float:
        """How much of the run is done, 0..1."""
        options, state = self.options, self.state
        if options.steps is not None:
            return min(1.0, state.step / options.steps)
        assert options.minutes is not None
        return min(1.0, state.elapsed_s / (60.0 * options.minutes))

    def advance(self) -> None:
        """One step of the optimizer, and of the networks that losses have."""
        began, state = time.monotonic(), self.state
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.share())
        batch = next(self._feed()).ranged(self.spec.value_range, self.place.device)
        torch.manual_seed(_step_seed(self.options.seed, state.step, self.place.rank))  # for networks with dropout
        made = _real(restored(self.trainee(*taken(batch.low, batch.truth, self.spec.inputs))))
        loss, self._values = self.objective(made, batch, self.peak)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.place.average_gradients(self.trainee)
        nn.utils.clip_grad_norm_(self.trainee.parameters(), self.options.clip_norm)
        self.optimizer.step()
        for rival in self.rivals:
            rival.learn(made, batch, self.peak)
        state.step += 1
        state.average_in(collapse(self.trainee), self.options.ema)
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
        return self._pace.tick_is_due()

    def tick(self) -> Tick:
        """Where the run is."""
        state, share = self.state, self.share()
        values = {name: float(value) for name, value in self._values.items()}
        rate, lr = self._pace.steps_per_s(state.step), self.optimizer.param_groups[0]["lr"]
        tick = Tick(state.step, share, state.mean_loss(), lr, rate, _eta_s(state.elapsed_s, share), values)
        self.log.tick(tick)
        return tick

    def report(self) -> Progress:
        """Validate the average, keep it if it is the best so far, and save checkpoint and preview."""
        state, began, tick = self.state, time.monotonic(), self.tick()
        last = float(state.losses[-1])
        if not math.isfinite(last):
            raise CheckFailed(f"the loss is {last} at step {state.step}: train with a smaller --lr")
        state.losses = []
        rgb, luma = self._validate()
        unsaved = self._kept_up()
        state.elapsed_s = self.place.agree(state.elapsed_s + time.monotonic() - began)
        self._pace.mark(state.step)
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
            units_of(self.spec),
        )

    def _kept_up(self) -> str:
        """Write checkpoint and preview; a disk that is full for an hour is no reason to end a training of a day."""
        try:
            self.save_checkpoint(self.options.checkpoint)
            if self._preview is not None:
                save_png(self.options.preview_path, self._preview)
        except BadInput as error:
            return str(error)
        return self.log.problem

    def _validate(self) -> tuple[float, float]:
        if self.place.rank != 0:
            return math.nan, math.nan
        state, pairs = self.state, self.data.validation
        self.plain.load_state_dict(state.average)
        judgment = judge(self.plain, self.spec, self.scale, pairs)
        state.judged(judgment.rgb_db)
        grid = preview(pairs, judgment.images)
        self._preview = grid if self.options.preview else None
        self.log.validation(state.step, {"rgb": judgment.rgb_db, "y": judgment.y_db}, grid)
        return judgment.rgb_db, judgment.y_db

    def save_last_checkpoint(self) -> None:
        """``save_checkpoint`` for a run that ends with it.

        Raises:
            BadInput: it could not be written; the message says where it is instead.
        """
        what = f"move this to {self.options.checkpoint} before --resume"
        train_outputs.save_or_keep(self.options.checkpoint, self.save_checkpoint, what)

    def save_checkpoint(self, path: Path) -> None:
        """Write everything that ``restore`` needs."""
        if self.place.rank != 0:
            return
        saved = {
            "trained": identity(self.options, self.scale),
            "trainee": self.trainee.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **self.state.saved(),
        }
        saved |= {rival.key: rival.state() for rival in self.rivals}
        train_checkpoint.save(path, saved)

    def restore(self) -> None:
        """Go on from the checkpoint.

        Raises:
            BadInput: there is none, it cannot be read, or it belongs to another training.
        """
        saved = train_checkpoint.load(self.options.checkpoint, identity(self.options, self.scale))
        self.trainee.load_state_dict(saved["trainee"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state.restore(saved, self.place.device)
        for rival in self.rivals:
            rival.restore(saved[rival.key])
        self._pace.mark(self.state.step)

    def save_weights(self) -> Path:
        """Write the best average as safetensors, and its card; returns where.

        Raises:
            BadInput: they could not be written there; the message says where they are instead.
        """
        out = self.options.out
        if self.place.rank == 0:
            self.plain.load_state_dict(self.state.best)
            train_outputs.save_or_keep(out, self._save_weights, "the weights are here instead")
        return out

    def _save_weights(self, out: Path) -> None:
        weights.save(out, self.plain.cpu(), self.spec.name, self.scale, {})
        weights.save_card(out, card_of(self))


def _real(made: Restored) -> Restored:
    """In float32, whatever the last operator computed in: losses take differences of nearly equal numbers."""
    maps = {name: value.float() for name, value in made.maps.items()}
    return Restored(made.image.float(), tuple(image.float() for image in made.auxiliary), maps)


def _eta_s(elapsed_s: float, share: float) -> float:
    return elapsed_s * (1.0 - share) / max(share, 1e-9)


def _step_seed(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step * 64 + rank) % 2**63


def _optimizer(options: TrainOptions, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if options.optimizer == "soap":
        return Soap(parameters, lr=options.lr)
    return torch.optim.Adam(parameters, lr=options.lr, fused=True)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - torch has no public name for it
