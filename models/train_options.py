"""What a training is asked, what it reports, and what it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearport.base import BadInput

OPTIMISERS = ("adam", "soap")


@dataclass(frozen=True)
class TrainOptions:
    """What to train, on what, and for how long.

    Attributes:
        network: registry name.
        data: folders of photos.
        out: safetensors file that gets the weights with the best validation PSNR; its card is beside it (.json).
        scale: the network's scale; None for its default.
        steps, minutes: the length; exactly one of them is given.
        batch, patch: crops per step, and their side in input pixels.
        optimiser: one of ``OPTIMISERS``.
        lr, warmup: peak learning rate, and the share of the run in which it rises to it.
        loss: name of a loss in ``losses.LOSSES``.
        seed: of fresh weights, the validation split and the crops.
        resume: go on from ``<out>.checkpoint``.
        start: weights to begin with; what does not fit the network's shapes stays fresh.
        validation_data: folder of photos to judge by; None sets ``validation_photos`` of ``data`` aside.
        validate_every: steps between validations, each of which also saves the checkpoint.
        shrink: factors below 1 for reduced copies of every photo, which are learnt from as well.
        ema: decay of the moving average of the weights, per step.
        clip_norm: gradients longer than this are scaled down to it.
        widen: width of the training-time convolutions (see ``train_widen``); 0 for the plain network.
        bfloat16: compute convolutions in bfloat16; None where the processor has instructions for it.
    """

    network: str
    data: tuple[Path, ...]
    out: Path
    scale: int | None = None
    steps: int | None = None
    minutes: float | None = None
    batch: int = 16
    patch: int = 32
    optimiser: str = "soap"
    lr: float = 3e-3
    warmup: float = 0.05
    loss: str = "l1"
    seed: int = 0
    resume: bool = False
    start: Path | None = None
    validation_data: Path | None = None
    validation_photos: int = 12
    validate_every: int = 1000
    shrink: tuple[float, ...] = ()
    ema: float = 0.999
    clip_norm: float = 1.0
    widen: int = 0
    bfloat16: bool | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise BadInput("give the length of the training as --steps or as --minutes, and not both")
        positive = {"--steps": self.steps, "--minutes": self.minutes, "--batch": self.batch, "--patch": self.patch}
        positive |= {
            "--lr": self.lr,
            "--validate-every": self.validate_every,
            "validation photos": self.validation_photos,
        }
        for name, value in positive.items():
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise BadInput(f"{name} {value}: expected a number above zero")
        if self.optimiser not in OPTIMISERS:
            raise BadInput(f"unknown optimiser {self.optimiser!r} (there are: {', '.join(OPTIMISERS)})")
        if self.seed < 0 or self.widen < 0:
            raise BadInput(f"--seed {self.seed} --widen {self.widen}: expected zero or more")
        if not all(0.0 < factor < 1.0 for factor in self.shrink):
            raise BadInput(f"--shrink {' '.join(map(str, self.shrink))}: expected factors between 0 and 1")

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.out.with_name(self.out.name + ".checkpoint")


@dataclass(frozen=True)
class Progress:
    """Where a run is. ``share`` is in 0..1; ``loss`` is the mean since the last report, in shares of the range."""

    step: int
    share: float
    loss: float
    lr: float
    psnr_db: float
    best_psnr_db: float
    steps_per_s: float
    eta_s: float


@dataclass(frozen=True)
class TrainResult:
    """How a run ended. ``finished`` is False after Ctrl-C: the checkpoint is there and ``resume`` goes on from it."""

    finished: bool
    step: int
    best_psnr_db: float
    weights: Path
    checkpoint: Path


def learning_rate(options: TrainOptions, share: float) -> float:
    """The rate at ``share`` (0..1) of the run: a linear rise over ``warmup``, then half a cosine down to 0."""
    if share < options.warmup:
        return options.lr * max(share / options.warmup, 0.01)
    after = (share - options.warmup) / max(1e-9, 1.0 - options.warmup)
    return options.lr * 0.5 * (1.0 + math.cos(math.pi * after))


def identity(options: TrainOptions, scale: int) -> dict[str, Any]:
    """What must be the same for a checkpoint to be gone on from, and what a card says of the recipe."""
    names = (
        "network",
        "steps",
        "minutes",
        "batch",
        "patch",
        "optimiser",
        "lr",
        "warmup",
        "loss",
        "seed",
        "ema",
        "widen",
    )
    return {"scale": scale, **{name: getattr(options, name) for name in names}}
