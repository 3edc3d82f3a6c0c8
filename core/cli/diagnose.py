"""``clearport diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearport.cli.options import BundleArg, QuietOpt, TargetsOpt, split
from clearport.given import MOST_THREADS

_SHOWN = 5
"""Maximum number of layers listed for their cost."""

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from clearport.bundle.diagnosis import Diagnosis, Layer, Seen


def diagnose(
    bundle: BundleArg,
    target: TargetsOpt = "",
    runtime: Annotated[
        str, typer.Option(help="Runtimes, comma-separated, as 'clearport list' names them; all by default.")
    ] = "",
    picture: Annotated[str, typer.Option(help="The golden picture: photo or probe.")] = "probe",
    json: Annotated[Path | None, typer.Option(help="Write all figures into this file.", show_default=False)] = None,
    html: Annotated[Path | None, typer.Option(help="Write a heat map into this file.", show_default=False)] = None,
    node_data: Annotated[
        Path | None,
        typer.Option(help="Write the LiteRT file's figures for Model Explorer into this file.", show_default=False),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of every runtime.")] = 1,
    quiet: QuietOpt = False,
) -> None:
    """Find the layer in which an int8 file goes wrong, or loses most: every layer, in every runtime, side by side.

    The intermediate tensors of each file are read while it runs: in LiteRT with and without XNNPACK, ONNX Runtime with
    and without fusions, OpenVINO, Core AI and clearport's evaluator of Core ML. Each layer is compared with the QDQ
    model on the layer's actual inputs in that runtime, so that errors are its own, not inherited. For each runtime, the
    first layer with an own error is named, with a remedy.

    Columns of the table: dB is the SQNR of all rounding up to a layer; gain is how much the output's PSNR would improve
    if only that layer were not rounded (to find layers to keep in float). For each runtime, = means equal, a percentage
    is the share of values that are a level off (with ? too many for ties: the runtime rounds differently), and a number
    with ! is an error in levels. Exit code 1: a layer of a file is wrong by more than a level in a runtime.

    Examples: clearport diagnose out/x3, clearport diagnose out/x3 --target tflite --html layers.html --json layers.json
    """
    from clearport.cli.progress import progress_bar
    from clearport.pipeline.diagnosis.files import diagnosed

    with progress_bar(quiet=quiet) as progress:
        found = diagnosed(
            bundle,
            progress,
            picture=picture,
            targets=split(target),
            runtimes=split(runtime),
            threads=threads,
            json=json,
            html=html,
            node_data=node_data,
        )
    show(found)
    if found.wrong:
        raise typer.Exit(1)


def show(found: Diagnosis) -> None:
    """Print the diagnosis as tables."""
    from rich.text import Text

    from clearport.cli.show import print_parts, table
    from clearport.reports.diagnosis import letter

    letters = [letter(place) for place in range(len(found.witnesses))]
    columns = ("layer", "operators", "range", "clipped", "dB", "gain", *letters)
    rows = [(*_figures(layer), *_cells(found, layer)) for layer in found.layers]
    print_parts(Text(f"{found.network}, {found.picture}: {len(rows)} int8 layers", "bold"))
    print_parts(table("Layers", columns, rows, columns[2:]))
    costly = sorted((layer for layer in found.layers if layer.gain_db), key=lambda layer: -(layer.gain_db or 0))
    if costly:
        told = ", ".join(f"{layer.name} {layer.gain_db:.2f} dB" for layer in costly[:_SHOWN])
        print_parts(Text(f"most sensitive layers (gain of the output if one layer is not rounded): {told}"))
    for called, witness in zip(letters, found.witnesses, strict=True):
        head = Text(f"{called}  {witness.artifact}, {witness.runtime}: ")
        if witness.parted:
            head += Text(f"parts at {witness.parted}", "bold red" if witness.wrong else "yellow")
            head += Text(f". {witness.why}; {witness.todo}.")
        elif witness.layers:
            head += Text("no layer has an own error", "green")
        print_parts(head + Text(f" {witness.remark}".rstrip(), "yellow"))
        if witness.also:
            print_parts(Text(f"   own errors also in: {', '.join(witness.also)}", "dim"))
    for what, why in found.unseen.items():
        print_parts(Text(f"not examined: {what}: {why}", "dim"))
    if found.remark:
        print_parts(Text(found.remark, "dim"))


def _figures(layer: Layer) -> tuple[str, ...]:
    return (
        layer.name,
        ", ".join(layer.operators),
        f"{layer.low:.3g} to {layer.high:.3g}",
        f"{layer.clipped:.2%}",
        "exact" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
        "–" if layer.gain_db is None else f"{layer.gain_db:.2f}",
    )


def _cells(found: Diagnosis, layer: Layer) -> Iterator[str | Text]:
    for witness in found.witnesses:
        seen = next((each for each in witness.layers if each.name == layer.name), None)
        yield "·" if seen is None else _cell(seen)


def _cell(seen: Seen) -> str | Text:
    from rich.text import Text

    from clearport.runtime.steps.report import MOST_LEVELS

    if not seen.differing:
        return Text("=", "dim")
    share = f"{seen.differing:.3%}" if seen.differing >= 5e-6 else "<0.001%"
    if seen.levels > MOST_LEVELS:
        return Text(f"{seen.levels}! {share}", "bold red")
    return share if seen.passed else Text(f"{share}?", "yellow")
