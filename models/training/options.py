"""Options, progress reports and results of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from clearport.errors import BadInput
from clearport.registry import NETWORKS

OPTIMIZERS = ("adam", "soap")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class TrainOptions:
    """What to train, on what, and for how long. ``options_for`` fills in what a network's own recipe says.

    Attributes:
        network: registry name.
        data: folders, of any layout in ``data.layouts``.
        out: safetensors file that gets the weights with the best validation PSNR; its card is beside it (.json).
        scale: the network's scale; None for its default.
        steps, minutes: the length; exactly one of them is given.
        batch, patch: crops per step (and per process), and their side in input pixels.
        optimizer: one of ``OPTIMIZERS``.
        lr, warmup: peak learning rate, and the share of the run in which it rises to it.
        loss: a sum of losses (see ``losses``).
        seed: of fresh weights, the validation split and the crops.
        resume: go on from ``<out>.checkpoint``.
        force: replace weights, card, checkpoint and preview of an earlier training that are at ``out``.
        start: weights to begin with, of any file that an export takes; all of them must fit.
        start_partial: take from ``start`` what fits, for instance the body of another scale; the rest stays fresh.
        degradation: how inputs are made (see ``degrade``); None for what the data and the task speak for.
        layout: of all folders in ``data`` (see ``data.layouts``); None to tell by what is in them.
        exclude: files that name photos not to be learned from (see ``data.layouts.read_exclusions``).
        teachers: networks to be imitated by the loss ``distillation``, each NETWORK=WEIGHTS[@DEGRADATION].
        validation_data: folder to judge by; None sets ``validation_photos`` of ``data`` (or scenes) aside.
        validate_every: steps between validations, each of which also saves the checkpoint and the preview.
        shrink: factors below 1 for reduced copies of every clean photo, and of every pair of the same size, which are
            learned from as well.
        ema: decay of the moving average of the weights, per step.
        clip_norm: gradients longer than this are scaled down to it.
        widen: width of the training-time convolutions (see ``training.widen``); 0 for the plain network.
        bfloat16: compute convolutions in bfloat16; None where the processor has instructions for it, the network
            can be run so, takes one picture, and its task is not low-light, whose curves want more than 8 bits.
        bias_unit: what a bias parameter of 1 adds to an activation; None for the width of the value range. A network
            that divides its input by that width should say 1.
        device, devices: one of ``DEVICES``, and how many of them (more than one needs the extra ``train``).
        workers: processes that make batches; None for as many as the synthesis is worth.
        log: folder for TensorBoard (needs the extra ``train``).
        preview: write ``<out>.preview.png`` at each validation.
    """

    network: str
    data: tuple[Path, ...]
    out: Path
    scale: int | None = None
    steps: int | None = None
    minutes: float | None = None
    batch: int = 16
    patch: int = 32
    optimizer: str = "soap"
    lr: float = 3e-3
    warmup: float = 0.05
    loss: str = "l1"
    seed: int = 0
    resume: bool = False
    force: bool = False
    start: Path | None = None
    start_partial: bool = False
    degradation: str | None = None
    layout: str | None = None
    exclude: tuple[Path, ...] = ()
    teachers: tuple[str, ...] = ()
    validation_data: Path | None = None
    validation_photos: int = 12
    validate_every: int = 1000
    shrink: tuple[float, ...] = ()
    ema: float = 0.999
    clip_norm: float = 1.0
    widen: int = 0
    bfloat16: bool | None = None
    bias_unit: float | None = None
    device: str = "auto"
    devices: int = 1
    workers: int | None = None
    log: Path | None = None
    preview: bool = True

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise BadInput("give either --steps or --minutes, not both")
        positive = {"--steps": self.steps, "--minutes": self.minutes, "--batch": self.batch, "--patch": self.patch}
        positive |= {
            "--lr": self.lr,
            "--validate-every": self.validate_every,
            "validation photos": self.validation_photos,
            "--devices": self.devices,
            "bias unit": self.bias_unit,
        }
        for name, value in positive.items():
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise BadInput(f"{name} {value}: expected a number above zero")
        _check_one_of("optimizer", self.optimizer, OPTIMIZERS)
        _check_one_of("device", self.device, DEVICES)
        if self.seed < 0 or self.widen < 0 or (self.workers or 0) < 0:
            raise BadInput(f"--seed {self.seed} --widen {self.widen}: expected zero or more, also for --workers")
        if not all(0.0 < factor < 1.0 for factor in self.shrink):
            raise BadInput(f"--shrink {' '.join(map(str, self.shrink))}: expected factors between 0 and 1")

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.out.with_name(self.out.name + ".checkpoint")

    @property
    def preview_path(self) -> Path:
        """Where the pictures of the last validation are: inputs, what was restored, targets."""
        return self.out.with_name(self.out.name + ".preview.png")


def _check_one_of(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise BadInput(f"unknown {what} {name!r} (available: {', '.join(known)})")


def options_for(network: str, **given: Any) -> TrainOptions:
    """Options of a training: what is ``given`` and not None, else what the network's recipe says, else the default.

    If neither says how long, it is an hour.

    Raises:
        BadInput: no such network, or options that cannot be used.
    """
    recipe: Mapping[str, Any] = NETWORKS.get(network).recipe
    unknown = set(recipe) - {f.name for f in fields(TrainOptions)}
    if unknown:
        raise ValueError(f"the recipe of {network} has unknown options {sorted(unknown)}")
    chosen = {name: value for name, value in given.items() if value is not None}
    if {"steps", "minutes"} & set(chosen):  # a length that was given replaces the recipe's, in either unit
        recipe = {name: value for name, value in recipe.items() if name not in {"steps", "minutes"}}
    length = {} if {"steps", "minutes"} & {*recipe, *chosen} else {"minutes": 60.0}
    return TrainOptions(network=network, **{**length, **recipe, **chosen})


@dataclass(frozen=True)
class Progress:
    """Where a run is after a validation.

    Attributes:
        step, share: steps done, and how much of the run that is, 0..1.
        loss: the mean since the last report, in shares of the range.
        psnr_db, y_psnr_db: of the held-back pictures, RGB and luma; not a number where they have no targets.
        best_psnr_db: the highest RGB value so far.
        eta_s: how long the rest will take.
        unsaved: why checkpoint or preview could not be written; empty where they could.
        units: what the figures are, where they are not PSNR (``judge.FIGURES``).
    """

    step: int
    share: float
    loss: float
    lr: float
    psnr_db: float
    best_psnr_db: float
    steps_per_s: float
    eta_s: float
    y_psnr_db: float = math.nan
    unsaved: str = ""
    units: tuple[str, str] = ("dB RGB", "Y")


@dataclass(frozen=True)
class Tick:
    """Where a run is between validations. ``losses`` are those of the last step, by name and before their weights."""

    step: int
    share: float
    loss: float
    lr: float
    steps_per_s: float
    eta_s: float
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult:
    """How a run ended. ``finished`` is False after Ctrl-C: the checkpoint is there and ``resume`` goes on from it.

    ``best_psnr_db`` is not a number where there were no targets to judge by. Of several processes, number 0 knows it.
    """

    finished: bool
    step: int
    best_psnr_db: float
    weights: Path
    checkpoint: Path
    process: int = 0
    units: tuple[str, str] = ("dB RGB", "Y")


def learning_rate(options: TrainOptions, share: float) -> float:
    """The rate at ``share`` (0..1) of the run: a linear rise over ``warmup``, then half a cosine down to 0."""
    if share < options.warmup:
        return options.lr * max(share / options.warmup, 0.01)
    after = (share - options.warmup) / max(1e-9, 1.0 - options.warmup)
    return options.lr * 0.5 * (1.0 + math.cos(math.pi * after))


_IDENTITY = (
    "network",
    "steps",
    "minutes",
    "batch",
    "patch",
    "optimizer",
    "lr",
    "warmup",
    "loss",
    "seed",
    "degradation",
    "ema",
    "widen",
    "devices",
)


def identity(options: TrainOptions, scale: int) -> dict[str, Any]:
    """What must be the same for a checkpoint to be gone on from, and what a card says of the recipe."""
    teachers = [f"{t.partition('=')[0]}{t[t.rfind('@') :] if '@' in t else ''}" for t in options.teachers]
    return {"scale": scale, **{name: getattr(options, name) for name in _IDENTITY}, "teachers": teachers}
