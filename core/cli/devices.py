"""``clearport devices`` and ``clearport bench``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from clearport.cli.options import BundleArg, JsonOpt, PrecisionsOpt, QuietOpt, TargetsOpt, refuse_others, split
from clearport.given import MOST_THREADS

_WHERE, _HOW, _OUTCOME = "Where", "How", "Results"

_SYSTEM_RUNS = 5
"""Default runs of a system, each of which has many runs of its parts."""

EXAMPLES = """Run, check and time the artifacts of a bundle, on this machine and on others.

Phones, boards and browsers run the files; without an NPU its compiler gives an estimate. Each row says which.

\b
This machine's CPU, PyTorch and all files interleaved:
  clearport bench out/x3

\b
A phone, a board, and Vela's estimate for an Ethos-U, in one record:
  clearport bench out/x3 --device adb:SERIAL --device ssh:me@board
      --device ethos-u:u55-256 --json bench.json

\b
Did it get faster? In one interleaved run, or against an older record:
  clearport bench out/new --against out/old
  clearport bench out/new --compare old.json --max-slowdown 1.1

\b
Five minutes of each file without a pause, with the curve:
  clearport bench out/x3 --sustained 300 --json sustained.json

After Ctrl-C or a lost device, finished rows are in the --json file: --resume runs the rest.
"""


def devices(json: JsonOpt = False) -> None:
    """List the devices that can run artifacts: available ones, missing ones, and how to install these.

    Example: clearport devices
    """
    from clearport.cli import show_bench as cli_show_bench
    from clearport.pipeline import devices as pipeline_devices

    cli_show_bench.show_devices(pipeline_devices.devices(), as_json=json)


def bench(
    context: typer.Context,
    bundle: BundleArg,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Address from 'clearport devices'; repeatable; host by default.",
            metavar="ADDRESS",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(help="cpu, gpu, npu, comma-separated; the device's first by default.", rich_help_panel=_WHERE),
    ] = "",
    require_unit: Annotated[
        str,
        typer.Option(help="Fail unless everything requested for this unit ran on it alone.", rich_help_panel=_OUTCOME),
    ] = "",
    runner: Annotated[str, typer.Option(help="Only these runners, comma-separated.", rich_help_panel=_WHERE)] = "",
    python: Annotated[str, typer.Option(help="Interpreter on a phone or board.", rich_help_panel=_WHERE)] = "",
    benchmark_model: Annotated[
        Path | None, typer.Option(help="LiteRT's benchmark_model for the phone's processor.", rich_help_panel=_WHERE)
    ] = None,
    identity: Annotated[Path | None, typer.Option(help="Private key for SSH.", rich_help_panel=_WHERE)] = None,
    known_hosts: Annotated[Path | None, typer.Option(help="Pinned host keys for SSH.", rich_help_panel=_WHERE)] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Keep the compiled NPU files in this folder.", rich_help_panel=_OUTCOME),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Timeout of one step on a device, in seconds.", rich_help_panel=_HOW)
    ] = 120.0,
    threads: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of every runtime.", rich_help_panel=_HOW)
    ] = 1,
    pin: Annotated[str, typer.Option(help="Pin to these processors (Linux), as in 0,1.", rich_help_panel=_HOW)] = "",
    runs: Annotated[
        int, typer.Option(min=1, help="Timed runs of every artifact, at least.", rich_help_panel=_HOW)
    ] = 50,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="Measure every artifact for at least this long.", rich_help_panel=_HOW)
    ] = 1.0,
    sustained: Annotated[
        float, typer.Option(min=0.0, help="Then run each continuously for this many seconds.", rich_help_panel=_HOW)
    ] = 0.0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Ask the runtime for the time of each operator.", rich_help_panel=_HOW)
    ] = False,
    target: TargetsOpt = "",
    precision: PrecisionsOpt = "",
    against: Annotated[
        Path | None, typer.Option(help="Another bundle, measured in the same interleaved run.", rich_help_panel=_HOW)
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="An older --json file to compare with: faster, slower, or cannot tell.", rich_help_panel=_OUTCOME
        ),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            help="Fail when a file is significantly slower than in the --compare file by more than this ratio; "
            "without it, slower files are reported but do not fail.",
            rich_help_panel=_OUTCOME,
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write rows and comparisons as JUnit XML for CI.", rich_help_panel=_OUTCOME),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write all records to this file, with raw samples.", rich_help_panel=_OUTCOME),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the existing rows of the --json file.", rich_help_panel=_OUTCOME)
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the rows in the bundle and its report.", rich_help_panel=_OUTCOME)
    ] = False,
    quiet: QuietOpt = False,
) -> None:
    from clearport.bundle.bench_record import BenchRecord
    from clearport.bundle.system import is_system
    from clearport.cli import show_bench as cli_show_bench
    from clearport.cli.progress import progress_bar
    from clearport.errors import BadInput
    from clearport.pipeline.bench import bench_bundle
    from clearport.pipeline.benching.checks import checks, reported
    from clearport.pipeline.benching.record import record_rows
    from clearport.pipeline.benching.values import BenchRequest
    from clearport.runtime.devices.device import UNITS, Settings

    if is_system(bundle):
        taken = {"bundle", "target", "precision", "runs", "threads", "json_file", "quiet"}
        taken |= {"device"} if device == ["host"] else set()
        refuse_others(
            context,
            bundle,
            taken,
            "a system is timed on this machine's CPU only; for devices or other bundles, bench its parts: "
            f"clearport bench {bundle}/parts/NAME",
        )
        _system(bundle, (split(target), split(precision)), min(runs, _SYSTEM_RUNS), threads, json_file, quiet)
        return
    if resume and json_file is None:
        raise BadInput("--resume needs the --json file of the run to resume")
    if require_unit and require_unit not in UNITS:
        raise BadInput(f"--require-unit {require_unit}: unknown unit (available: {', '.join(UNITS)}")
    if max_slowdown is not None and (compare is None or not math.isfinite(max_slowdown)):
        raise BadInput("--max-slowdown needs a ratio such as 1.1, and --compare FILE with the earlier times")
    request = BenchRequest(
        folder=bundle,
        devices=tuple(dict.fromkeys(device or ["host"])),
        units=split(unit) or ((require_unit,) if require_unit else ()),
        threads=threads,
        runs=runs,
        seconds=seconds,
        sustained_s=sustained,
        pin=_processors(pin),
        profile=profile,
        targets=split(target),
        precisions=split(precision),
        against=against,
        settings=Settings(
            python=python,
            benchmark_model=benchmark_model,
            identity=identity,
            known_hosts=known_hosts,
            timeout_s=timeout,
            runners=split(runner),
            keep=keep,
        ),
        json=json_file,
        resume=resume,
        record=record,
        older=BenchRecord.load(compare) if compare is not None else None,
        max_slowdown=max_slowdown,
    )
    with reported(request, junit) as report:
        try:
            with progress_bar(quiet=quiet) as progress:
                outcome = bench_bundle(request, progress)
        except KeyboardInterrupt:
            if json_file is not None and json_file.exists():
                said = f"finished rows are in {json_file}; rerun the same command with --resume for the rest"
                typer.echo(said, err=True)
            raise
        report.checks = checks(outcome, require_unit or None)
        # First, so that measurements are shown even if they cannot be written.
        cli_show_bench.show_bench(outcome, outcome.record.compared)
    if record:
        record_rows(outcome)
    if outcome.unwritten is not None:
        raise outcome.unwritten
    failures = outcome.failures(require_unit or None)
    cli_show_bench.show_failures(failures)
    if failures:
        raise typer.Exit(1)


bench.__doc__ = EXAMPLES


def _system(
    folder: Path,
    which: tuple[tuple[str, ...], tuple[str, ...]],
    runs: int,
    threads: int,
    json_file: Path | None,
    quiet: bool,
) -> None:
    from clearport.cli import systems as cli_systems

    targets, precisions = which
    cli_systems.bench(
        folder, targets=targets, precisions=precisions, runs=runs, threads=threads, json_file=json_file, quiet=quiet
    )


def _processors(text: str) -> tuple[int, ...]:
    from clearport.errors import BadInput

    try:
        found = tuple(int(part) for part in split(text))
    except ValueError as error:
        raise BadInput(f"--pin {text}: expected processor numbers, as in 0,1") from error
    if any(number < 0 for number in found):
        raise BadInput(f"--pin {text}: processor numbers start at 0")
    return found
