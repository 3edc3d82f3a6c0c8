"""Quantization-aware training: the int8 network is distilled from the float network.

The student is the fake-quantized graph (``fake``), the teacher the float graph, whose weights are frozen. Every step
compares both on the same crops. The moving average of the student's parameters is validated by its PSNR to the float
network on held-out images. A form is kept only if it is better than the initial one, and does not lose more PSNR
against ground truth.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clearport.errors import BadInput, CheckFailed
from clearport.models import normalized
from clearport.models.data.crops import Batch
from clearport.models.data.degrade import DOMAINS, LABELS, UNPAIRED, parse
from clearport.models.data.sets import data_set
from clearport.models.losses import table as losses
from clearport.models.metrics import psnr_db, to_levels
from clearport.models.training.device import OneDevice
from clearport.models.training.judge import preview
from clearport.models.training.outputs import Restored, taken
from clearport.models.training.state import State, copied
from clearport.models.training.steps import Steps
from clearport.quantize.calibration import torch_form
from clearport.quantize.trained.fake import FakeQuantized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clearport.base import Graph
    from clearport.model_spec import ModelSpec
    from clearport.models.data.pair import Pair
    from clearport.models.data.sets import DataSet
    from clearport.models.training.options import TrainOptions
    from clearport.pictures.images import Image8
    from clearport.quantized import QuantizedGraph

    Feed = dict[str, torch.Tensor]

_DEVIATIONS = 4.0
"""The span of outputs other than images, in standard deviations, as in ``graph.feeds.spans``."""

_BATCH_TOLERANCE = 1e-3
"""Largest error of a batch of two images relative to the peak output; above it, images are run one by one."""


@dataclass(frozen=True)
class Figures:
    """The quality of an int8 form on the validation images.

    Attributes:
        fidelity_db: mean PSNR to the float network's outputs, in dB.
        loss_db: mean drop of the PSNR to ground truth, relative to the float network, in dB; NaN without targets.
    """

    fidelity_db: float
    loss_db: float


@dataclass(frozen=True)
class _Exam:
    """A validation image: inputs, the float network's outputs (``wanted``) and image (``shown``), target or None."""

    feed: Feed
    wanted: list[torch.Tensor]
    shown: Image8
    high: Image8 | None


def read(options: TrainOptions, spec: ModelSpec, scale: int) -> DataSet:
    """The data of a training run.

    Raises:
        BadInput: options or data are unusable.
    """
    losses.parse(options.loss)
    if options.patch % spec.size_multiple:
        raise BadInput(f"--patch {options.patch}: {spec.name} requires multiples of {spec.size_multiple}")
    data = data_set(options, spec, scale)
    objective(options, data, losses.LOSSES["l1"])
    return data


def objective(options: TrainOptions, data: DataSet, distance: losses.Loss) -> losses.Objective:
    """The weighted sum of losses, with ``distance`` as the loss ``distillation``.

    Raises:
        BadInput: a loss needs targets and there are none, or it trains a network (such as a discriminator).
    """
    wanted = {term.name for term in losses.parse(options.loss)}
    odd = sorted(wanted & {losses.ADVERSARIAL, losses.CONTRAST})
    if odd:
        raise BadInput(f"--qat does not take the loss {odd[0]}, whose network learns as well")
    kind = parse(data.degradation)[0]
    own = {losses.DISTILLATION: distance} if losses.DISTILLATION in wanted else {}
    return losses.Objective(options.loss, own, targets=kind not in {UNPAIRED, LABELS}, unaligned=kind == DOMAINS)


class Learning(Steps):
    """A training run of the int8 form ``start``, ready for its first step.

    Args:
        options: of the run; the loss ``distillation`` compares with the float network.
        spec: the network.
        data: images for training and validation.
        graph: its float graph for any size, as it is quantized (``flow.prepared``).
        start: its initial int8 form.

    Attributes:
        before, after: the quality of the initial form and of the best one so far.
        kept: constant entries of a checkpoint; ``trained`` identifies the run.

    Raises:
        BadInput: options or data are unusable, or ``torch_form`` does not implement an operator of the graph.
    """

    units = ("dB to the float network", "dB lost")

    def __init__(
        self, options: TrainOptions, spec: ModelSpec, data: DataSet, graph: Graph, start: QuantizedGraph
    ) -> None:
        self.place = OneDevice(torch.device("cpu"))
        self.spec, self.graph, self.data, self.start = spec, graph, data, start
        self.options = replace(options, degradation=data.degradation)
        self.kept: Mapping[str, Any] = {}
        self._wanted: list[torch.Tensor] = []
        self._made: list[torch.Tensor] = []
        self.objective = objective(options, data, self._distance)
        self.fake = FakeQuantized(start)
        self.optimizer = torch.optim.Adam(self.fake.parameters(), lr=options.lr)
        self._check_runs()
        self._exams = [self._exam(pair) for pair in self.data.validation if pair.low is not None]
        average = copied(self.fake.state_dict())
        self.state = State(average, copied(average))
        self.before = self.judge()
        self.after = self.before
        self.state.psnr_db = self._figure(self.before)
        self.state.best_psnr_db = self.state.psnr_db
        self.begin()

    def judge(self) -> Figures:
        """Evaluate the current form on the validation images.

        Raises:
            CheckFailed: an output is not finite.
        """
        return self._judged()[0]

    def best(self) -> QuantizedGraph:
        """The best form so far; the initial one if none was better."""
        with self._with(self.state.best):
            return self.fake.quantized()

    @property
    def improved(self) -> bool:
        """Whether the best form is better than the initial one."""
        return self.state.best_psnr_db > self._figure(self.before)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Resume from the content of a checkpoint."""
        self.fake.load_state_dict(saved["trainee"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state.restore(saved, self.place.device)
        self.after = Figures(*saved["after"])
        self.pace.mark(self.state.step)

    def _saved(self) -> dict[str, Any]:
        after = [self.after.fidelity_db, self.after.loss_db]
        return {**self.kept, "trainee": self.fake.state_dict(), "after": after}

    def _now(self) -> Mapping[str, torch.Tensor]:
        return self.fake.state_dict()

    def _learn(self, given: Batch) -> torch.Tensor:
        batch = given.ranged(self.graph.input.span, self.place.device)
        feed = self._feed_of(batch)
        with torch.no_grad():
            self._wanted = self._run(feed, is_int8=False)
        self._made = self._run(feed, is_int8=True)
        span = self.graph.output.value_range
        peak = span[1] - span[0] if span else 1.0
        loss, self._values = self.objective(Restored(self._made[0]), batch, peak)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss

    def _distance(self, _restored: Restored, _batch: Batch, _peak: float) -> torch.Tensor:
        """RMS error to the float network's outputs, relative to their spans."""
        errors = [
            (made - wanted).square().mean() / span**2
            for made, wanted, span in zip(self._made, self._wanted, self._spans(self._wanted), strict=True)
        ]
        return torch.stack(errors).mean().sqrt()

    def _spans(self, wanted: Sequence[torch.Tensor]) -> list[float]:
        found = []
        for spec, value in zip(self.graph.outputs, wanted, strict=True):
            picture = spec.is_picture or bool(spec.transfer)
            found.append(spec.span[1] - spec.span[0] if picture else _DEVIATIONS * float(value.std()) or 1.0)
        return found

    def _feed_of(self, batch: Batch) -> Feed:
        plain = [normalized.plain(each) for each in self.spec.inputs]
        values = taken(batch.low, batch.truth, plain)
        return {spec.name: value for spec, value in zip(self.graph.inputs, values, strict=True)}

    def _run(self, feed: Feed, *, is_int8: bool) -> list[torch.Tensor]:
        """The outputs for a batch, in one run if the graph supports batches, otherwise image by image."""
        if self._batched or self._count(feed) == 1:
            return self.fake(feed) if is_int8 else torch_form.run(self.graph, feed)
        each = [
            self.fake(one) if is_int8 else torch_form.run(self.graph, one)
            for one in ({name: value[n : n + 1] for name, value in feed.items()} for n in range(self._count(feed)))
        ]
        return [torch.cat(outputs) for outputs in zip(*each, strict=True)]

    def _count(self, feed: Feed) -> int:
        return len(feed[self.graph.input.name])

    def _check_runs(self) -> None:
        """Check that PyTorch runs the graph, and find out whether it supports batches.

        Raises:
            BadInput: an operator of the graph is not implemented.
        """
        batch = self.data.crops.batch(2, np.random.default_rng(0)).ranged(self.graph.input.span, self.place.device)
        feed = self._feed_of(batch)
        self._batched = False
        try:
            with torch.no_grad():
                single = self._run(feed, is_int8=False)
        except torch_form.Unknown as error:
            raise BadInput(f"--qat: {self.spec.name} has an operator that QAT does not implement: {error}") from error
        try:
            with torch.no_grad():
                both = torch_form.run(self.graph, feed)
        except RuntimeError:
            return
        self._batched = all(
            one.shape == other.shape and (one - other).abs().max() <= _BATCH_TOLERANCE * other.abs().max()
            for one, other in zip(both, single, strict=True)
        )

    @contextmanager
    def _with(self, levels: Mapping[str, torch.Tensor]) -> Iterator[None]:
        """Set the parameters to ``levels`` within the block."""
        now = copied(self.fake.state_dict())
        self.fake.load_state_dict(levels)
        try:
            yield
        finally:
            self.fake.load_state_dict(now)

    def _validate(self) -> tuple[float, float]:
        with self._with(self.state.average):
            found, images = self._judged()
        figure, truth = self._figure(found), self.before.loss_db
        if figure > self.state.best_psnr_db and (math.isnan(truth) or found.loss_db <= truth):
            self.state.judged(figure)
            self.after = found
        self.state.psnr_db = figure
        pairs = [pair for pair in self.data.validation if pair.low is not None]
        grid = preview(pairs, images) if images else None
        self._preview = grid if self.options.preview else None
        if grid is not None:
            self.log.validation(self.state.step, {"rgb": found.fidelity_db, "loss": found.loss_db}, grid)
        return found.fidelity_db, found.loss_db

    def _figure(self, found: Figures) -> float:
        """The metric that selects the best form, in dB: fidelity, or the negative loss if trained on ground truth
        alone.
        """
        alone = all(term.name != losses.DISTILLATION for term in self.objective.terms)
        return -found.loss_db if alone and not math.isnan(found.loss_db) else found.fidelity_db

    @torch.no_grad()
    def _judged(self) -> tuple[Figures, list[Image8]]:
        fidelity, lost, images = [], [], []
        border = self.data.crops.scale if self.data.crops.scale > 1 else 0
        for exam in self._exams:
            made = self.fake(exam.feed)
            if not all(bool(value.isfinite().all()) for value in made):
                raise CheckFailed(f"outputs are not finite at step {self.state.step}: train with a smaller --lr")
            spans = self._spans(exam.wanted)
            errors = [float((a - b).square().mean()) / s**2 for a, b, s in zip(made, exam.wanted, spans, strict=True)]
            fidelity.append(-10.0 * math.log10(max(float(np.mean(errors)), 1e-12)))
            if self.graph.output.is_picture:
                images.append(self._shown(made[0]))
            if exam.high is not None:
                lost.append(psnr_db(exam.shown, exam.high, border) - psnr_db(images[-1], exam.high, border))
        return Figures(float(np.mean(fidelity)), float(np.mean(lost)) if lost else math.nan), images

    @torch.no_grad()
    def _exam(self, pair: Pair) -> _Exam:
        assert pair.low is not None
        truth = {
            name: torch.from_numpy(np.ascontiguousarray(value)).permute(2, 0, 1)[None]
            for name, value in pair.truth.items()
            if value.ndim == 3
        }
        low = torch.from_numpy(np.ascontiguousarray(pair.low)).permute(2, 0, 1)[None]
        feed = self._feed_of(Batch(low, None, truth).ranged(self.graph.input.span, self.place.device))
        wanted = torch_form.run(self.graph, feed)
        picture = self.graph.output.is_picture
        shown = self._shown(wanted[0]) if picture else np.zeros((1, 1, 3), np.uint8)
        high = pair.high if picture and pair.high is not None and pair.high.dtype == np.uint8 else None
        return _Exam(feed, wanted, shown, high)

    def _shown(self, made: torch.Tensor) -> Image8:
        low, high = self.graph.output.span
        return to_levels(((made[0] - low) * (255.0 / (high - low))).permute(1, 2, 0).numpy())
