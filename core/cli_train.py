"""``clearport train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearport.cli_options import QuietOpt, ScaleOpt
from clearport.models.train_options import OPTIMISERS, TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from clearport.models.train_options import Progress


def train(
    network: Annotated[str, typer.Argument(help="A network of 'clearport list', such as ncnet.")],
    data: Annotated[list[Path], typer.Option(help="Folder of photos; may be given several times.")],
    out: Annotated[
        Path, typer.Option(help="Where the weights go (.safetensors); the card and the checkpoint go beside it.")
    ],
    scale: ScaleOpt = None,
    steps: Annotated[
        int | None, typer.Option(help="Length in optimiser steps: repeatable to the bit on one machine.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Length in minutes: the schedule fits what the machine gives.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Crops per step.")] = TrainOptions.batch,
    patch: Annotated[int, typer.Option(help="Side of a crop, in input pixels.")] = TrainOptions.patch,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = TrainOptions.lr,
    optimiser: Annotated[str, typer.Option(help=f"One of {', '.join(OPTIMISERS)}.")] = TrainOptions.optimiser,
    ema: Annotated[
        float, typer.Option(help="Decay of the moving average of the weights, per step.")
    ] = TrainOptions.ema,
    shrink: Annotated[
        list[float] | None, typer.Option(help="Learn from copies of every photo reduced by this, too; several times.")
    ] = None,
    loss: Annotated[str, typer.Option(help="Name of the loss.")] = TrainOptions.loss,
    seed: Annotated[int, typer.Option(help="Seed of fresh weights, validation split and crops.")] = TrainOptions.seed,
    widen: Annotated[
        int, typer.Option(help="Width of the training-time convolutions; 0 trains the plain network.")
    ] = TrainOptions.widen,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint beside --out.")] = False,
    start: Annotated[Path | None, typer.Option(help="Weights to begin with; what does not fit stays fresh.")] = None,
    val_data: Annotated[
        Path | None, typer.Option(help="Photos to judge by; some of --data are set aside if left out.")
    ] = None,
    validate_every: Annotated[
        int, typer.Option(help="Steps between validations, which also save the checkpoint.")
    ] = TrainOptions.validate_every,
    quiet: QuietOpt = False,
) -> None:
    """Train a network from scratch on any folder of photos; Ctrl-C saves a checkpoint and --resume goes on from it.

    Example: clearport train ncnet --data PHOTOS --out ncnet_x3.safetensors --scale 3 --minutes 60
    """
    from clearport.models.train import train as run

    if steps is None and minutes is None:
        minutes = 60.0
    options = TrainOptions(
        network=network,
        data=tuple(data),
        out=out,
        scale=scale,
        steps=steps,
        minutes=minutes,
        batch=batch,
        patch=patch,
        lr=lr,
        optimiser=optimiser,
        ema=ema,
        shrink=tuple(shrink) if shrink is not None else TrainOptions.shrink,
        loss=loss,
        seed=seed,
        widen=widen,
        resume=resume,
        start=start,
        validation_data=val_data,
        validate_every=validate_every,
    )
    result = run(options, _silent if quiet else _reporter())
    if not result.finished:
        typer.echo(f"interrupted at step {result.step}; saved in {result.checkpoint}; to go on, add --resume", err=True)
        raise typer.Exit(130)
    typer.echo(f"{result.weights}  {result.best_psnr_db:.2f} dB RGB on the validation photos, {result.step} steps")


def _silent(progress: Progress) -> None:
    del progress


def _reporter() -> Callable[[Progress], None]:
    """A line on standard error for every validation."""

    def report(progress: Progress) -> None:
        left = f"{progress.eta_s / 60:.0f} min left"
        typer.echo(
            f"{progress.share:6.1%}  step {progress.step}  loss {progress.loss:.5f}  "
            f"{progress.psnr_db:.2f} dB (best {progress.best_psnr_db:.2f})  {progress.steps_per_s:.1f} steps/s  {left}",
            err=True,
        )

    return report
