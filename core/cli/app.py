"""The command line. Exit codes: 0 success, 1 a check failed, 2 bad input or an internal error, 130 interrupted.

Heavy modules are imported only when a command needs them, so that ``--help`` is fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearport.cli import devices as cli_devices
from clearport.cli import diagnose as cli_diagnose
from clearport.cli import evaluate as cli_evaluate
from clearport.cli import files as cli_files
from clearport.cli import lint as cli_lint
from clearport.cli import matrix as cli_matrix
from clearport.cli import runs as cli_runs
from clearport.cli import serve as cli_serve
from clearport.cli import stores as cli_stores
from clearport.cli import train as cli_train
from clearport.cli.command import App
from clearport.cli.options import (
    CacheOpt,
    CalibrationOpt,
    ColorOpt,
    ContractOpt,
    ForceOpt,
    IOOpt,
    JsonOpt,
    KnobOpt,
    MeanOpt,
    NetworkArg,
    PrecisionsOpt,
    PreferOpt,
    QuietOpt,
    RangeOpt,
    RequantizeOpt,
    ScaleOpt,
    SizeOpt,
    StdOpt,
    TargetsOpt,
    TaskOpt,
    WeightsOpt,
    split,
)
from clearport.given import MOST_THREADS

app = App(
    name="clearport",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from clearport import __version__

        typer.echo(f"clearport {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Image-restoration networks from PyTorch to phones and edge boards: exported, quantized, and proven.

    Start with: clearport export ncnet --out out/ncnet_x3
    """


@app.command("list")
def list_(
    network: Annotated[
        str, typer.Argument(help="Show the details of this network.", show_default=False, metavar="NETWORK")
    ] = "",
    json: JsonOpt = False,
) -> None:
    """List networks with tasks and weights, targets with precisions, and installed packages.

    Example: clearport list rlfn
    """
    from clearport.cli import show as cli_show
    from clearport.cli import systems as cli_systems
    from clearport.pipeline import list as pipeline_list
    from clearport.registry import SYSTEMS

    if network in SYSTEMS.names():
        cli_systems.show_system(pipeline_list.system(network), as_json=json)
    elif network:
        cli_show.show_network(pipeline_list.network(network), as_json=json)
    else:
        cli_show.show_inventory(pipeline_list.inventory(), as_json=json)


@app.command()
def export(
    network: NetworkArg,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; it appears only when it is complete.")],
    scale: ScaleOpt = None,
    size: SizeOpt = None,
    target: TargetsOpt = "",
    precision: PrecisionsOpt = "",
    weights: WeightsOpt = None,
    knob: KnobOpt = None,
    calibration: CalibrationOpt = None,
    requantize: RequantizeOpt = False,
    contract: ContractOpt = None,
    task: TaskOpt = "",
    color: ColorOpt = "",
    span: RangeOpt = "",
    mean: MeanOpt = "",
    std: StdOpt = "",
    io: IOOpt = "uint8",
    prefer: PreferOpt = "balanced",
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of every runtime.")] = 1,
    bench: Annotated[bool, typer.Option(help="Measure latency, briefly ('clearport bench' does it at length).")] = True,
    force: ForceOpt = False,
    cache: CacheOpt = True,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Export a network to every target, prove each file against PyTorch, measure it, and write the bundle.

    Examples: clearport export ncnet --out out/x3 --scale 3 --size 360x640 --target tflite,coreml --precision int8
    and your own: clearport export my.onnx --out out/my, clearport export my_net.py:build --out out/my --size 256x256
    """
    from clearport.base import Size
    from clearport.cli.progress import progress_bar
    from clearport.cli.show import show_bundle
    from clearport.cli.told import told
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.registry import SYSTEMS

    request = ExportRequest(
        network=network,
        out=out,
        scale=scale,
        size="own" if size is None else Size.parse(size),
        targets=split(target),
        precisions=split(precision),
        weights=weights,
        knobs=tuple(knob or ()),
        calibration=calibration,
        requantize=requantize,
        contract=contract,
        told=told(task, color, span, mean, std),
        io=io,
        prefer=prefer,
        threads=threads,
        measure=bench,
        force=force,
        cache=cache,
    )
    if network in SYSTEMS.names():
        from clearport.cli import systems as cli_systems

        if not cli_systems.export(request, as_json=json, quiet=quiet):
            raise typer.Exit(1)
        return
    from clearport.pipeline.export import export_bundle

    with progress_bar(quiet=quiet) as progress:
        bundle = export_bundle(request, progress)
    show_bundle(bundle, as_json=json)
    if not bundle.passed:
        raise typer.Exit(1)


app.command()(cli_lint.lint)
app.command()(cli_matrix.matrix)


app.command()(cli_runs.verify)
app.command()(cli_diagnose.diagnose)
app.command()(cli_runs.run)
app.command()(cli_runs.report)
app.command("eval")(cli_evaluate.evaluate)
app.command()(cli_files.inspect)
app.command()(cli_files.compare)
app.command()(cli_files.kit)
app.command()(cli_devices.devices)
app.command()(cli_devices.bench)
app.command()(cli_serve.serve)
app.command()(cli_stores.push)
app.command()(cli_stores.pull)
app.command()(cli_stores.fetch)
app.command()(cli_stores.sign)
app.command()(cli_stores.bom)
app.command()(cli_train.train)


def main() -> None:
    """Entry point: errors become one line on stderr and an exit code."""
    from clearport.cli.errors import guarded

    guarded(app)


if __name__ == "__main__":
    main()
