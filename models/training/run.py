"""One training run of a network: its data, model, optimizer and state."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from clearport.errors import BadInput
from clearport.model_spec import ModelSpec
from clearport.models import weights
from clearport.models.data import degrade
from clearport.models.data.sets import data_set
from clearport.models.losses import table as losses
from clearport.models.training import checkpoint as train_checkpoint
from clearport.models.training import written as train_outputs
from clearport.models.training.card import card_of
from clearport.models.training.device import place_for
from clearport.models.training.judge import judge, preview, units_of
from clearport.models.training.options import TrainOptions, identity
from clearport.models.training.outputs import Restored, restored, taken
from clearport.models.training.soap import Soap
from clearport.models.training.state import State, copied
from clearport.models.training.steps import Steps
from clearport.models.training.teachers import Teachers
from clearport.models.training.widen import Widening, collapse, widen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from clearport.models.data.crops import Batch
    from clearport.models.training.adversary import Adversary
    from clearport.models.training.contrast import Contrast
    from clearport.models.training.regions import Regions


class Run(Steps):
    """A training run, ready for its first step: ``plain`` is the network as deployed, ``trainee`` as it is trained.

    Raises:
        BadInput: options, data or initial weights are unusable.
    """

    def __init__(self, options: TrainOptions, spec: ModelSpec, scale: int) -> None:
        losses.parse(options.loss)  # report misspelled names before reading data
        if options.patch % spec.size_multiple:
            raise BadInput(f"--patch {options.patch}: {spec.name} requires multiples of {spec.size_multiple}")
        self.place = place_for(options)
        self.spec, self.scale = spec, scale
        self.data = data_set(options, spec, scale, shares=options.devices)
        self.options = replace(options, degradation=self.data.degradation)
        self.units = units_of(spec)
        self.peak = spec.value_range[1] - spec.value_range[0]
        self.start: weights.Start | None = None
        self.plain = self._fresh()
        self.trainee = self._dressed()
        parameters = [p for p in self.trainee.parameters() if p.requires_grad]
        self.optimizer = _optimizer(options, parameters)
        self.rivals: list[Adversary | Contrast | Regions] = []
        self.objective = self._objective()
        average = copied(collapse(self.trainee))
        self.state = State(average, copied(average))
        self.begin()

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
        """The trainee; convolutions are in bfloat16 if requested, or by default where device, task and network allow
        it.
        """
        bfloat16 = self.options.bfloat16
        if bfloat16 is None:
            coarse = not self.spec.inputs and self.spec.task != "low-light"
            bfloat16 = _has_bfloat16(self.place.device) and coarse and self._takes_bfloat16()
        return widen(self.plain, Widening(self.options.widen, bfloat16, self.options.bias_unit or self.peak))

    def _takes_bfloat16(self) -> bool:
        """Whether the whole network runs with its convolutions in bfloat16."""
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
        if losses.REGIONAL in wanted:
            from clearport.models.training.regions import Regions

            others[losses.REGIONAL] = regions = Regions()
            self.rivals.append(regions)
        targets, unaligned = kinds[0] not in {degrade.UNPAIRED, degrade.LABELS}, kinds[0] == degrade.DOMAINS
        return losses.Objective(self.options.loss, others, targets=targets, unaligned=unaligned)

    def notes(self) -> tuple[str, ...]:
        """Lines for the user about the data and weights that were read."""
        return (*self.data.notes, *(() if self.start is None else (str(self.start),)))

    def _learn(self, given: Batch) -> torch.Tensor:
        batch = given.ranged(self.spec.value_range, self.place.device)
        torch.manual_seed(_step_seed(self.options.seed, self.state.step, self.place.rank))  # for networks with dropout
        made = _real(restored(self.trainee(*taken(batch.low, batch.truth, self.spec.inputs))))
        loss, self._values = self.objective(made, batch, self.peak)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.place.average_gradients(self.trainee)
        self._freeze()
        nn.utils.clip_grad_norm_(self.trainee.parameters(), self.options.clip_norm)
        self.optimizer.step()
        for rival in self.rivals:
            rival.learn(made, batch, self.peak)
        return loss

    def _freeze(self) -> None:
        """Drop the gradients of what does not learn in this step, if the network says so (``frozen``)."""
        frozen: Callable[[int], Iterable[torch.Tensor]] | None = getattr(self.trainee, "frozen", None)
        for parameter in frozen(self.state.step) if frozen is not None else ():
            parameter.grad = None

    def _now(self) -> Mapping[str, torch.Tensor]:
        return collapse(self.trainee)

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

    def _saved(self) -> dict[str, Any]:
        saved = {"trained": identity(self.options, self.scale), "trainee": self.trainee.state_dict()}
        return saved | {rival.key: rival.state() for rival in self.rivals}

    def restore(self) -> None:
        """Resume from the checkpoint.

        Raises:
            BadInput: there is none, it cannot be read, or it belongs to another training run.
        """
        saved = train_checkpoint.load(self.options.checkpoint, identity(self.options, self.scale))
        self.trainee.load_state_dict(saved["trainee"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state.restore(saved, self.place.device)
        for rival in self.rivals:
            rival.restore(saved[rival.key])
        self.pace.mark(self.state.step)

    def save_weights(self) -> Path:
        """Write the best averaged weights (safetensors) and their card; returns the path of the weights.

        Raises:
            BadInput: they could not be written to ``options.out``; the message names the fallback path.
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
    """The outputs as float32: losses subtract nearly equal numbers, for which bfloat16 is too coarse."""
    maps = {name: value.float() for name, value in made.maps.items()}
    return Restored(made.image.float(), tuple(image.float() for image in made.auxiliary), maps)


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
