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
    """Training options. ``options_for`` fills in a network's recipe.

    Attributes:
        network: registry name.
        data: folders, in any layout of ``data.layouts``.
        out: safetensors file for the weights with the best validation PSNR; its card is beside it (.json).
        scale: the network's scale; None for its default.
        steps, minutes: the length; exactly one of them.
        batch, patch: crops per step (and per process), and their side in input pixels.
        optimizer: one of ``OPTIMIZERS``.
        lr, warmup: peak learning rate, and the share (0..1) of the run with linear warm-up.
        loss: a sum of losses (see ``losses``).
        seed: seed of initial weights, validation split and crops.
        resume: continue from ``<out>.checkpoint``.
        force: replace weights, card, checkpoint and preview of an earlier training at ``out``.
        start: initial weights, in any format that export accepts; all tensors must fit.
        start_partial: load only fitting tensors of ``start``, for instance from another scale; others stay fresh.
        degradation: how inputs are made (see ``degrade``); None: determined by the data and the task.
        layout: layout of all folders in ``data`` (see ``data.layouts``); None to detect it.
        exclude: files that list photos to exclude (see ``data.exclusions.read_exclusions``).
        teachers: networks to imitate with the loss ``distillation``, each NETWORK=WEIGHTS[@DEGRADATION].
        validation_data: validation folder; None splits ``validation_photos`` (or scenes) off ``data``.
        validate_every: steps between validations, each of which also saves the checkpoint and the preview.
        shrink: factors below 1 for additional downscaled copies of every clean photo, and of every pair of equal size.
        ema: decay of the moving average of the weights, per step.
        clip_norm: maximum norm of the gradients.
        widen: width of the training-time convolutions (see ``training.widen``); 0 for the plain network.
        bfloat16: compute convolutions in bfloat16; None: if the CPU has instructions for it, the network supports
            it, has one input picture, and its task is not low-light, whose curves need more than 8 bits.
        bias_unit: value of a bias parameter of 1 in units of activations; None for the width of the value range. A
            network that divides its input by that width should use 1.
        device, devices: one of ``DEVICES``, and their number (more than one needs the extra ``train``).
        workers: processes that make batches; None: as many as the synthesis of inputs is worth.
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
        if not 0.0 <= self.ema < 1.0:
            raise BadInput(f"--ema {self.ema}: expected a decay from 0 to below 1, such as 0.999")
        if self.seed < 0 or self.widen < 0 or (self.workers or 0) < 0:
            raise BadInput(f"--seed {self.seed} --widen {self.widen}: expected zero or more, also for --workers")
        if not all(0.0 < factor < 1.0 for factor in self.shrink):
            raise BadInput(f"--shrink {' '.join(map(str, self.shrink))}: expected factors between 0 and 1")

    @property
    def checkpoint(self) -> Path:
        """The path of the checkpoint."""
        return self.out.with_name(self.out.name + ".checkpoint")

    @property
    def preview_path(self) -> Path:
        """The path of the last validation's preview: inputs, outputs, targets."""
        return self.out.with_name(self.out.name + ".preview.png")


def _check_one_of(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise BadInput(f"unknown {what} {name!r} (available: {', '.join(known)})")


def options_for(network: str, **given: Any) -> TrainOptions:
    """Training options: those ``given`` that are not None, else those of the network's recipe, else defaults.

    The default length is one hour.

    Raises:
        BadInput: no such network, or invalid options.
    """
    recipe: Mapping[str, Any] = NETWORKS.get(network).recipe
    unknown = set(recipe) - {f.name for f in fields(TrainOptions)}
    if unknown:
        raise ValueError(f"the recipe of {network} has unknown options {sorted(unknown)}")
    chosen = {name: value for name, value in given.items() if value is not None}
    if {"steps", "minutes"} & set(chosen):  # a given length replaces the recipe's, in either unit
        recipe = {name: value for name, value in recipe.items() if name not in {"steps", "minutes"}}
    length = {} if {"steps", "minutes"} & {*recipe, *chosen} else {"minutes": 60.0}
    return TrainOptions(network=network, **{**length, **recipe, **chosen})


@dataclass(frozen=True)
class Progress:
    """Progress of a run after a validation.

    Attributes:
        step, share: finished steps, and finished share (0..1) of the run.
        loss: mean since the last report, relative to the value range.
        psnr_db, y_psnr_db: PSNR of held-out pictures, RGB and luma; NaN without targets.
        best_psnr_db: the highest RGB value so far.
        eta_s: estimated remaining seconds.
        unsaved: the reason that checkpoint or preview could not be written; empty otherwise.
        units: descriptions of the figures if they are not PSNR (``judge.FIGURES``).
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
    """Progress of a run between validations. ``losses``: unweighted losses of the last step, by name."""

    step: int
    share: float
    loss: float
    lr: float
    steps_per_s: float
    eta_s: float
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult:
    """The result of a run. ``finished`` is False after Ctrl-C: ``resume`` continues from the checkpoint.

    ``best_psnr_db`` is NaN without targets. With several processes, only process 0 has it.
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
    """The options that must match to resume a checkpoint, and that a card lists as the recipe."""
    teachers = [f"{t.partition('=')[0]}{t[t.rfind('@') :] if '@' in t else ''}" for t in options.teachers]
    return {"scale": scale, **{name: getattr(options, name) for name in _IDENTITY}, "teachers": teachers}
