"""``clearport train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clearport.cli.options import QuietOpt, ScaleOpt
from clearport.cli.train_progress import quality, reporter
from clearport.errors import BadInput
from clearport.models.training.options import DEVICES, OPTIMIZERS, options_for
from clearport.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Prefer
    from clearport.models.training.options import TrainResult

_DATA, _LEARNING, _JUDGING, _MACHINE = "Data", "Learning", "Validation and monitoring", "Machine"
_INT8 = "int8"

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

\b
int8 that loses less (quantization-aware training). The result goes to export,
whose float files stay the same:
  clearport train rlfn --qat --start rlfn.pth --data PHOTOS --out qat.safetensors
  clearport export rlfn --weights qat.safetensors --out out/rlfn

Defaults come from the network's recipe, if it has one.
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
            help="Load only the fitting tensors of --start (for example from another scale); the rest is initialized.",
        ),
    ] = False,
    degradation: Annotated[
        str | None,
        typer.Option(
            help="Degradation that makes the inputs: bicubic, camera, rain, haze, low-light, forgery, or a mix such "
            "as 'camera + haze'; pairs, unpaired, labels (real/ and fake/) and domains use the data as they are. By "
            "default chosen from the data and the task.",
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
            help="A weighted sum such as 'l1 + 0.2*ssim + 0.05*gradient'. With targets: l1, l2, charbonnier, ssim, "
            "gradient, auxiliary, adversarial; without: spatial, exposure, color, smooth-curves, tv, quasi-sparsity, "
            "low-rain, rain, transmission, light, mask, distillation; of classes: cross-entropy, binary, forged, zipf, "
            "regional, augmented, match; of two kinds of pictures: adversarial, contrast.",
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
        typer.Option(help="Convolve in bfloat16; by default only if that is faster.", rich_help_panel=_MACHINE),
    ] = None,
    qat: Annotated[
        bool,
        typer.Option(
            "--qat",
            help="Train the int8 form of --start (default: bundled weights) on the CPU (default: 10 minutes). Float "
            "weights stay. --lr is in levels of the int8 grid; the loss 'distillation' is from the float network.",
            rich_help_panel=_INT8,
        ),
    ] = False,
    prefer: Annotated[
        Literal["balanced", "quality", "speed"],
        typer.Option(
            help="With --qat, as for export: 'speed' keeps only layers in float that have no int8 form.",
            rich_help_panel=_INT8,
        ),
    ] = "balanced",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="With --qat: folder of photos for the int8 ranges; bundled ones by default.", rich_help_panel=_INT8
        ),
    ] = None,
) -> None:
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
    if not qat and (prefer != "balanced" or calibration is not None):
        raise BadInput("--prefer and --calibration need --qat")
    result = _int8(network, prefer, calibration, given, quiet=quiet) if qat else _float(network, given, quiet=quiet)
    if result.process:
        return
    if not result.finished:
        typer.echo(
            f"interrupted at step {result.step}; saved in {result.checkpoint}; to continue, add --resume", err=True
        )
        raise typer.Exit(130)
    done = counted(result.step, "step")
    typer.echo(f"{result.weights}  {quality(result.best_psnr_db, result.units[0])} on the validation pictures, {done}")


train.__doc__ = EXAMPLES


def _float(network: str, given: Mapping[str, Any], *, quiet: bool) -> TrainResult:
    from clearport.models.training.train import train as run

    options = options_for(network, **given)
    with reporter(quiet=quiet) as told:
        return run(options, told.validated, told.ticked, told.noted)


def _int8(
    network: str, prefer: Prefer, calibration: Path | None, given: Mapping[str, Any], *, quiet: bool
) -> TrainResult:
    from clearport.pipeline.qat import train_int8
    from clearport.quantize.trained.options import qat_options

    options = qat_options(network, prefer=prefer, calibration=calibration, **given)
    with reporter(quiet=quiet) as told:
        return train_int8(options, told.validated, told.ticked, told.noted, told.staged)


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
