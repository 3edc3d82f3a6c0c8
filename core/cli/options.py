"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Annotated, Literal

import typer

NetworkArg = Annotated[
    str,
    typer.Argument(
        help="A network of 'clearport list', such as ncnet, or your own: FILE.onnx, FILE.pt2 or FILE.py:ATTRIBUTE.",
        metavar="NETWORK",
    ),
]
BundleArg = Annotated[Path, typer.Argument(help="Folder of a bundle that 'clearport export' wrote.", metavar="BUNDLE")]
ScaleOpt = Annotated[int | None, typer.Option(help="Upscaling factor; the network's own by default.")]
SizeOpt = Annotated[
    str | None,
    typer.Option(
        help="Input size HEIGHTxWIDTH in pixels, or 'dynamic'; by default the network's own, else 360x640.",
        show_default=False,
    ),
]
TargetsOpt = Annotated[str, typer.Option(help="Targets, comma-separated; all by default.", metavar="NAMES")]
PrecisionsOpt = Annotated[
    str,
    typer.Option(
        help="fp32, fp16, int8, int8-weights, comma-separated; all of these by default. int8a16 (16-bit activations, "
        "for Qualcomm's HTP) only if named here.",
        metavar="NAMES",
    ),
]
WeightsOpt = Annotated[
    Path | None,
    typer.Option(help="Weights: .safetensors, or a published .pth or .tflite; bundled ones by default."),
]
KnobOpt = Annotated[
    list[str] | None,
    typer.Option(help="A setting of the network, fixed at export, as in dehaze=0.5; repeatable.", metavar="NAME=VALUE"),
]
CalibrationOpt = Annotated[
    Path | None,
    typer.Option(
        help="Folder of calibration photos, typical of the network's inputs; bundled ones by default. For inputs "
        "other than pictures: a folder of .npz files, one per example, with one array per input name."
    ),
]
RequantizeOpt = Annotated[
    bool,
    typer.Option("--requantize", help="Convert an already quantized ONNX file back to float, and quantize it again."),
]
ContractOpt = Annotated[
    Path | None,
    typer.Option(help="Contract of your own network's inputs and outputs (TOML), as printed by 'clearport inspect'."),
]
RangeOpt = Annotated[
    str,
    typer.Option(
        "--range", help="Values of black and full intensity for your own network, as in 0..255.", metavar="LOW..HIGH"
    ),
]
ColorOpt = Annotated[str, typer.Option(help="Channels of your own network's input: RGB, BGR, Y, RGBA ...")]
MeanOpt = Annotated[
    str,
    typer.Option(
        help="Per-channel mean that your own network expects subtracted, as in 0.5,0.5,0.5.", metavar="NUMBERS"
    ),
]
StdOpt = Annotated[
    str,
    typer.Option(help="Per-channel standard deviation that your own network expects divided out.", metavar="NUMBERS"),
]
TaskOpt = Annotated[
    str, typer.Option(help="Task of your own network: super-resolution, deraining, low-light or other.")
]
IOOpt = Annotated[
    Literal["uint8", "int8", "float32"],
    typer.Option(help="Input and output dtype of int8 artifacts (ONNX Runtime and OpenVINO use uint8 for int8)."),
]
PreferOpt = Annotated[
    Literal["balanced", "quality", "speed"],
    typer.Option(
        help="int8: 'quality' keeps more layers in float if that improves fidelity; 'speed' only those without an "
        "int8 form."
    ),
]
ForceOpt = Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")]
CacheOpt = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Reuse the quantized graph of an earlier export of the same network and photos.",
    ),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
QuietOpt = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress on standard error; results are printed all the same.")
]


def refuse_others(context: typer.Context, folder: Path, taken: Container[str], instead: str) -> None:
    """Refuse command-line options that systems of several parts do not support, so that no gate is silently ignored.

    Args:
        context: the command's context.
        folder: the system's folder.
        taken: names of the supported parameters.
        instead: the remedy, for the message.

    Raises:
        BadInput: an unsupported option was given.
    """
    from clearport.errors import BadInput

    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in taken and source is not None and source.name == "COMMANDLINE":
            raise BadInput(f"{folder}: {max(parameter.opts, key=len)}: not for a system of several parts; {instead}")


def split(text: str) -> tuple[str, ...]:
    """``"a, b"`` -> ``("a", "b")``; an empty text is an empty tuple."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
