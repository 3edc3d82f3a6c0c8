"""``clearport lint``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearport.cli.options import (
    CalibrationOpt,
    ColorOpt,
    ContractOpt,
    IOOpt,
    JsonOpt,
    KnobOpt,
    MeanOpt,
    NetworkArg,
    PrecisionsOpt,
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.text import Text

    from clearport.pipeline.lint.values import Finding, Layer, LintReport, Placement

_SHOWN = 3
"""Maximum number of layers per finding on the terminal; JSON has all."""


def lint(
    network: NetworkArg,
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
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of every runtime.")] = 1,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Check how a network would run on every target and accelerator, without exporting it.

    Reports which operators run where and in how many partitions, which layers stay float in int8, which exceed
    float16, the receptive field, and typical problems of restoration networks; each finding with its layer and source
    line, the reason, and a remedy. Takes the options of export, and writes nothing. Exit code 1: export would refuse
    something (an error).

    Examples: clearport lint my_net.py:build --size 256x256, clearport lint my.onnx --target tflite --json
    """
    from clearport.base import Size
    from clearport.cli.progress import progress_bar
    from clearport.cli.show import print_json
    from clearport.cli.told import told
    from clearport.pipeline.lint.model import lint_model
    from clearport.pipeline.sources.request import ExportRequest

    request = ExportRequest(
        network=network,
        out=Path(),
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
        threads=threads,
    )
    with progress_bar(quiet=quiet) as progress:
        found = lint_model(request, progress)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        show(found)
    if found.refused:
        raise typer.Exit(1)


def show(found: LintReport) -> None:
    """Print the report as tables."""
    from rich.text import Text

    from clearport.cli.show import print_parts, table

    layers = sum(found.operators.values())
    head = f"{found.network} at {found.size}: {layers} operators, {found.parameters:,} parameters, "
    print_parts(Text(f"{head}{found.macs:,} multiply-accumulates", "bold"))
    columns = ("file", "on", "takes", "parts", "runs on the CPU", "remarks")
    if found.placements:
        print_parts(table("Where it runs", columns, map(_placed, _together(found.placements)), ("parts",)))
    for said, units in _sources(found.placements).items():
        print_parts(Text(f"{', '.join(units)}: {said}", "dim"))
    for line in _summary(found):
        print_parts(Text(line, "dim"))
    rows = [_row(finding) for finding in found.findings]
    print_parts(table("Findings", ("level", "where", "what", "what to do"), rows) if rows else Text("nothing found"))
    for reason in found.not_linted:
        print_parts(Text("not linted ", "yellow") + Text(reason, "dim"))
    errors = sum(finding.level == "error" for finding in found.findings)
    if errors:
        print_parts(Text(f"export would refuse {errors} of these", "bold red"))


def _together(placements: Sequence[Placement]) -> list[tuple[tuple[str, ...], Placement]]:
    """Merge the rows of a target's files that an accelerator handles identically."""
    rows: dict[str, tuple[list[str], Placement]] = {}
    for placement in placements:
        same = placement.model_copy(update={"artifact": placement.artifact.split("/")[0]})
        rows.setdefault(same.model_dump_json(), ([], placement))[0].append(placement.artifact)
    return [(tuple(files), placement) for files, placement in rows.values()]


def _sources(placements: Sequence[Placement]) -> dict[str, list[str]]:
    """Source of the placements -> names of the accelerators it covers."""
    found: dict[str, dict[str, None]] = {}
    for placement in placements:
        how = {"measured": "asked of", "compiled": "compiled by", "predicted": "predicted by"}[placement.basis]
        unit = "NNAPI" if placement.unit.startswith("NNAPI") else placement.unit
        found.setdefault(f"{how} {placement.by}", {})[unit] = None
    return {said: list(units) for said, units in found.items()}


def _placed(row: tuple[tuple[str, ...], Placement]) -> tuple[str | Text, ...]:
    from rich.text import Text

    files, placement = row
    counts: Counter[str] = Counter()
    for each in placement.left:
        counts[each.operator] += each.count
    left = ", ".join(f"{count} {operator}" for operator, count in counts.items())
    whole = placement.taken == placement.operators
    taken = f"all {placement.operators}" if whole else f"{placement.taken} of {placement.operators}"
    return ", ".join(files), placement.unit, taken, str(placement.partitions), left, Text(placement.remark, "dim")


def _summary(found: LintReport) -> Iterator[str]:
    if found.in_float is not None:
        share = f"{found.in_float.macs_share:.1%} of the multiply-accumulates"
        count = len(found.in_float.layers)
        yield (
            f"int8: {count} layers stay float, {share}, in {found.in_float.regions} regions"
            if count
            else ("int8: every layer has an int8 form")
        )
    if found.in_half is not None:
        psnr = "not finite" if found.in_half.psnr_db is None else f"{found.in_half.psnr_db:.1f} dB from float32"
        exact = found.in_half.psnr_db is None and found.in_half.fits
        yield f"float16 arithmetic (emulated): {'equal to float32' if exact else psnr}"


def _row(finding: Finding) -> tuple[str | Text, ...]:
    from rich.text import Text

    style = {"error": "bold red", "warning": "yellow", "note": "dim"}[finding.level]
    units = ", ".join(finding.where[:_SHOWN]) + (
        f" and {len(finding.where) - _SHOWN} more" * (len(finding.where) > _SHOWN)
    )
    what = f"{finding.rule}: {finding.why}" + (f" [{units}]" if units else "")
    return Text(finding.level, style), "\n".join(_named(finding.layers)) or "the network", what, finding.todo


def _named(layers: Sequence[Layer]) -> Iterable[str]:
    for layer in layers[:_SHOWN]:
        origin = ", ".join(filter(None, (layer.module, layer.source)))
        yield f"{layer.name}{f' ({origin})' if origin else ''}"
    if len(layers) > _SHOWN:
        yield f"and {len(layers) - _SHOWN} more"
