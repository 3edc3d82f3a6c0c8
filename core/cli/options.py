"""Options that several commands share."""

from __future__ import annotations

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
ScaleOpt = Annotated[int | None, typer.Option(help="Upscaling factor; the network's own default if left out.")]
SizeOpt = Annotated[
    str | None,
    typer.Option(
        help="Input size HEIGHTxWIDTH in pixels, or 'dynamic'; the network's own if left out, or else 360x640.",
        show_default=False,
    ),
]
TargetsOpt = Annotated[str, typer.Option(help="Targets, separated by commas; all if left out.", metavar="NAMES")]
PrecisionsOpt = Annotated[
    str, typer.Option(help="fp32, fp16, int8, int8-weights, separated by commas; all if left out.", metavar="NAMES")
]
WeightsOpt = Annotated[
    Path | None,
    typer.Option(help="Weights: .safetensors, or a published .pth or .tflite; bundled ones if left out."),
]
KnobOpt = Annotated[
    list[str] | None,
    typer.Option(
        help="A setting of the network that is fixed at export, as in dehaze=0.5; several times.", metavar="NAME=VALUE"
    ),
]
CalibrationOpt = Annotated[
    Path | None, typer.Option(help="Folder of photos like those that the network will see; bundled ones if left out.")
]
RequantizeOpt = Annotated[
    bool,
    typer.Option(
        "--requantize", help="Take an ONNX file that is quantized already back to float, and quantize it anew."
    ),
]
ContractOpt = Annotated[
    Path | None,
    typer.Option(help="What your own network takes and gives (TOML), as 'clearport inspect' prints it."),
]
RangeOpt = Annotated[
    str,
    typer.Option(
        "--range", help="What black and full intensity are for your own network, as in 0..255.", metavar="LOW..HIGH"
    ),
]
ColorOpt = Annotated[str, typer.Option(help="Channels of your own network's input: RGB, BGR, Y, RGBA ...")]
MeanOpt = Annotated[
    str,
    typer.Option(help="Mean per channel that your network wants subtracted, as in 0.5,0.5,0.5.", metavar="NUMBERS"),
]
StdOpt = Annotated[str, typer.Option(help="Deviation per channel that it wants divided by.", metavar="NUMBERS")]
TaskOpt = Annotated[
    str, typer.Option(help="What your own network does: super-resolution, deraining, low-light or other.")
]
IOOpt = Annotated[
    Literal["uint8", "int8", "float32"],
    typer.Option(help="Number format at both ends of int8 artifacts (ONNX Runtime and OpenVINO take int8 as uint8)."),
]
ForceOpt = Annotated[bool, typer.Option("--force", help="Replace a bundle that is already there.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON for machines to standard output.")]
QuietOpt = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]


def split(text: str) -> tuple[str, ...]:
    """``"a, b"`` -> ``("a", "b")``; an empty text is an empty tuple."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
