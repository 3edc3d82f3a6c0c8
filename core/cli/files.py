"""``clearport inspect``, ``compare`` and ``kit``: files of any format, and code around them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearport.cli.options import BundleArg, ContractOpt, JsonOpt, QuietOpt, RangeOpt, SizeOpt
from clearport.given import MOST_THREADS


def inspect(
    network: Annotated[
        str,
        typer.Argument(
            help="FILE.onnx, FILE.pt2 or FILE.py:ATTRIBUTE, which are run and measured; or FILE.tflite, "
            "FILE.mlpackage, OpenVINO's .xml or ncnn's .param, which are only read.",
            metavar="FILE",
        ),
    ],
    size: SizeOpt = None,
    contract: ContractOpt = None,
    file: Annotated[bool, typer.Option("--file", help="Only read an ONNX file, too, without measuring.")] = False,
    json: JsonOpt = False,
) -> None:
    """Inputs and outputs of a network, measured, as a contract file for export; or the declared ones of a finished
    file.

    Examples: clearport inspect my.onnx > my.toml, clearport inspect out/x3/tflite/ncnet_x3_int8.tflite
    """
    from clearport.cli.show_files import show_described
    from clearport.pipeline.formats.read import described, readable

    path = Path(network)
    if readable(path) and (file or path.suffix.lower() != ".onnx"):
        show_described(described(path), as_json=json)
        return
    _measured(network, size, contract, json=json)


def _measured(network: str, size: str | None, contract: Path | None, *, json: bool) -> None:
    from clearport.base import Size
    from clearport.cli.show import print_json
    from clearport.pipeline.sources import shown
    from clearport.pipeline.sources.find import inspected
    from clearport.pipeline.sources.request import ExportRequest

    request = ExportRequest(
        network=network, out=Path(), size="own" if size is None else Size.parse(size), contract=contract
    )
    found = inspected(request)
    if json:
        print_json(shown.values(found))
    else:
        typer.echo(shown.text(found), nl=False)


_SIDE = "A file (.onnx, .tflite, .mlpackage, .xml, .param), or BUNDLE:TARGET/PRECISION."


def compare(
    a: Annotated[str, typer.Argument(help=_SIDE, metavar="A")],
    b: Annotated[str, typer.Argument(help=_SIDE, metavar="B")],
    picture: Annotated[
        list[Path] | None, typer.Option(help="A picture that both restore; repeatable. A bundled photo by default.")
    ] = None,
    span: RangeOpt = "",
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of both runtimes.")] = 1,
    runs: Annotated[int, typer.Option(min=3, help="Minimum number of timed runs of each.")] = 10,
    seconds: Annotated[float, typer.Option(min=0.0, help="Time each for at least this long.")] = 1.0,
    bench: Annotated[bool, typer.Option(help="Measure latency, interleaved.")] = True,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Compare two files of any formats: difference of outputs (dB, levels), sizes, and latency in one run.

    Example: clearport compare out/x3:tflite/fp32 out/x3:tflite/int8 --picture photo.png
    """
    from clearport.cli.progress import progress_bar
    from clearport.cli.show_files import show_compared
    from clearport.cli.told import told
    from clearport.pipeline.formats.compare import CompareRequest
    from clearport.pipeline.formats.compare import compare as run

    given = told("", "", span, "", "").inputs[0].range if span else None
    request = CompareRequest(a, b, tuple(picture or ()), given, threads, runs, seconds, bench)
    with progress_bar(quiet=quiet) as progress:
        compared = run(request, progress)
    show_compared(compared, as_json=json)


def kit(
    bundle: BundleArg,
    language: Annotated[str, typer.Option(help="python, cpp, typescript, kotlin or swift.")],
    out: Annotated[Path, typer.Option(help="Folder of the kit, new or empty.")],
    target: Annotated[str, typer.Option(help="Target of the artifact; the language's first by default.")] = "",
    precision: Annotated[str, typer.Option(help="Precision of the artifact; int8 (swift: fp16) by default.")] = "",
    variant: Annotated[str | None, typer.Option(help="Variant of the artifact, if there are several.")] = None,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Write source code for an app: load, tiles for pictures of any size without seams, and a self-test on goldens.

    Targets: python for tflite, onnxruntime, openvino and ncnn; cpp and kotlin for tflite; typescript for onnxruntime;
    swift for coreml. For a system: typescript for onnxruntime, with the interpreter of its program.

    Example: clearport kit out/x3 --language cpp --out app/restorer
    """
    from clearport.cli.progress import progress_bar
    from clearport.cli.show_files import show_kit
    from clearport.pipeline.kit import KitRequest, write_kit

    request = KitRequest(bundle, language, out, target, precision, variant)
    with progress_bar(quiet=quiet) as progress:
        made = write_kit(request, progress)
    show_kit(made, as_json=json)
