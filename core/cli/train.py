"""``clearport train``."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearport.cli.options import QuietOpt, ScaleOpt
from clearport.models.training.options import DEVICES, OPTIMIZERS, options_for
from clearport.words import counted

if TYPE_CHECKING:
    from clearport.models.training.options import Progress, Tick

_DATA, _LEARNING, _JUDGING, _MACHINE = "Data", "Learning", "Judging and watching", "Machine"
_EVERY_S = 15.0

EXAMPLES = """Train a network; Ctrl-C saves a checkpoint, and --resume continues from it.

\b
Super resolution x3, from any photos:
  clearport train ncnet --data PHOTOS --scale 3 --out mine.safetensors

\b
For real cameras: blurred, noisy, compressed inputs:
  clearport train span --data PHOTOS --degradation camera
      --out mine.safetensors

\b
Deraining: synthetic rain on clean photos, drawn for each crop. Source photos of
the validation pairs are excluded:
  clearport train mobilederain --data PHOTOS --exclude clean_sources.json
      --val-data Rain100L --out mine.safetensors

\b
Low light, from pairs (LOL, SICE, low/ and high/), or without targets:
  clearport train iagc --data SICE --out mine.safetensors
  clearport train zerodce --data DARK_PHOTOS --out mine.safetensors

Options left out come from the network's own recipe, else from the defaults.
"""


def train(
    network: Annotated[str, typer.Argument(help="A network of 'clearport list', such as ncnet.", metavar="NETWORK")],
    data: Annotated[
        list[Path],
        typer.Option(help="Folder of photos or pairs; repeatable.", metavar="FOLDER", rich_help_panel=_DATA),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Weights file (.safetensors); card, checkpoint and preview are written beside it."),
    ],
    scale: ScaleOpt = None,
    steps: Annotated[
        int | None, typer.Option(help="Length in optimizer steps: bit-exact reproducible on one machine.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Length in minutes (default 60): the schedule adapts to the machine.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint beside --out.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier training at and beside --out.")
    ] = False,
    start: Annotated[
        Path | None, typer.Option(help="Initial weights, published ones too; every tensor must fit.")
    ] = None,
    start_partial: Annotated[
        bool,
        typer.Option(
            "--start-partial",
            help="Load only the fitting tensors of --start (as from another scale); the rest is fresh.",
        ),
    ] = False,
    degradation: Annotated[
        str | None,
        typer.Option(
            help="How inputs are made: bicubic, camera, rain, haze, low-light, forgery, or a mix such as 'camera + "
            "haze'; pairs and unpaired use existing inputs. By default chosen from the data and the task.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="photos, div2k, pairs, rain100, lol, sice, unpaired, classes (real/ and fake/) or "
            "domains (trainA/ and trainB/); detected from the folder by default, domains by the network.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(
            help="File with the names of photos to exclude: JSON, or one name per line; repeatable.",
            metavar="FILE",
            rich_help_panel=_DATA,
        ),
    ] = None,
    shrink: Annotated[
        list[float] | None,
        typer.Option(
            help="Also train on copies of every clean photo downscaled by this factor; repeatable.",
            metavar="FACTOR",
            rich_help_panel=_DATA,
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Crops per step.", rich_help_panel=_DATA)] = None,
    patch: Annotated[int | None, typer.Option(help="Side of a crop, in input pixels.", rich_help_panel=_DATA)] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="A sum such as 'l1 + 0.2*ssim + 0.05*gradient'. With targets: l1, l2, charbonnier, ssim, gradient, "
            "auxiliary, adversarial; without: spatial, exposure, color, smooth-curves, tv, quasi-sparsity, low-rain, "
            "rain, transmission, light, mask, distillation; of classes: cross-entropy, binary, forged, zipf; of "
            "two kinds of pictures: adversarial, contrast.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="NETWORK=WEIGHTS as a teacher for the loss distillation, or NETWORK=WEIGHTS@DEGRADATION for one "
            "kind of a mix; repeatable.",
            metavar="NETWORK=WEIGHTS",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.", rich_help_panel=_LEARNING)] = None,
    optimizer: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(OPTIMIZERS)}.", rich_help_panel=_LEARNING)
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(help="Decay of the moving average of the weights, per step.", rich_help_panel=_LEARNING),
    ] = None,
    widen: Annotated[
        int | None,
        typer.Option(
            help="Width of the training-time convolutions; 0 trains the plain network.", rich_help_panel=_LEARNING
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of fresh weights, validation split and crops.", rich_help_panel=_LEARNING),
    ] = None,
    val_data: Annotated[
        Path | None,
        typer.Option(
            help="Validation photos or pairs; some of --data are held out by default.", rich_help_panel=_JUDGING
        ),
    ] = None,
    validate_every: Annotated[
        int | None,
        typer.Option(
            help="Steps between validations; each also saves checkpoint and preview.", rich_help_panel=_JUDGING
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="Folder for TensorBoard (pip install 'clearport\\[train]').", rich_help_panel=_JUDGING),
    ] = None,
    quiet: QuietOpt = False,
    device: Annotated[str | None, typer.Option(help=f"One of {', '.join(DEVICES)}.", rich_help_panel=_MACHINE)] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            help="Number of devices, each with its own batch (pip install 'clearport\\[train]').",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Worker processes for batches; chosen automatically by default.", rich_help_panel=_MACHINE),
    ] = None,
    bfloat16: Annotated[
        bool | None,
        typer.Option(help="Convolve in bfloat16; by default only where that is faster.", rich_help_panel=_MACHINE),
    ] = None,
) -> None:
    from clearport.models.training.train import train as run

    given: dict[str, Any] = {
        "data": tuple(data),
        "out": out,
        "scale": scale,
        "steps": steps,
        "minutes": minutes,
        "resume": resume,
        "force": force,
        "start": start,
        "start_partial": start_partial,
        "degradation": degradation,
        "layout": layout,
        "exclude": _tuple(exclude),
        "shrink": _tuple(shrink),
        "batch": batch,
        "patch": patch,
        "loss": loss,
        "teachers": _tuple(teacher),
        "lr": lr,
        "optimizer": optimizer,
        "ema": ema,
        "widen": widen,
        "seed": seed,
        "validation_data": val_data,
        "validate_every": validate_every,
        "log": log,
        "device": device,
        "devices": devices,
        "workers": workers,
        "bfloat16": bfloat16,
    }
    options = options_for(network, **given)
    with _reporter(quiet=quiet) as reporter:
        result = run(options, reporter.validated, reporter.ticked, reporter.noted)
    if result.process:
        return
    if not result.finished:
        typer.echo(
            f"interrupted at step {result.step}; saved in {result.checkpoint}; to continue, add --resume", err=True
        )
        raise typer.Exit(130)
    done = counted(result.step, "step")
    typer.echo(f"{result.weights}  {_quality(result.best_psnr_db, result.units[0])} on the validation pictures, {done}")


train.__doc__ = EXAMPLES


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _quality(figure: float, unit: str) -> str:
    return "no targets to judge by" if math.isnan(figure) else f"{figure:.2f} {unit}"


class _Silent:
    """No output."""

    def noted(self, note: str) -> None:
        """Before the first step: the data and weights read."""

    def validated(self, progress: Progress) -> None:
        """After a validation."""

    def ticked(self, tick: Tick) -> None:
        """Between validations."""


class _Lines(_Silent):
    """A line on standard error for every validation, and one every 15 s between them."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def noted(self, note: str) -> None:
        typer.echo(note, err=True)

    def validated(self, progress: Progress) -> None:
        self._last = time.monotonic()
        typer.echo(_validation_line(progress), err=True)

    def ticked(self, tick: Tick) -> None:
        if time.monotonic() - self._last < _EVERY_S:
            return
        self._last = time.monotonic()
        rate = f"{tick.steps_per_s:.1f} steps/s  {_left(tick.eta_s)}"
        typer.echo(f"{tick.share:6.1%}  step {tick.step}  loss {tick.loss:.5f}  {rate}", err=True)


class _Bar(_Silent):
    """A bar on a terminal, above which a line is left for every validation."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("", total=1.0)

    def noted(self, note: str) -> None:
        self._bar.console.print(note, highlight=False, markup=False)

    def validated(self, progress: Progress) -> None:
        self._bar.console.print(_validation_line(progress), highlight=False)
        self._bar.update(self._task, completed=progress.share)

    def ticked(self, tick: Tick) -> None:
        words = f"step {tick.step}  loss {tick.loss:.5f}  {tick.steps_per_s:.1f} steps/s  {_left(tick.eta_s)}"
        self._bar.update(self._task, completed=tick.share, description=words)


def _validation_line(progress: Progress) -> str:
    first, second = progress.units
    found = _quality(progress.psnr_db, first)
    if not math.isnan(progress.psnr_db):
        best = first.removeprefix("dB ")
        found = f"{found}, {progress.y_psnr_db:.2f} {second} (best {progress.best_psnr_db:.2f} {best})"
    rate = f"{progress.steps_per_s:.1f} steps/s  {_left(progress.eta_s)}"
    unsaved = f"\nnot saved: {progress.unsaved}" if progress.unsaved else ""
    return f"{progress.share:6.1%}  step {progress.step}  loss {progress.loss:.5f}  {found}  {rate}{unsaved}"


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"


@contextmanager
def _reporter(*, quiet: bool) -> Iterator[_Silent]:
    if quiet:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Bar(bar)
