"""``clearport eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearport.cli.options import BundleArg, JsonOpt, PrecisionsOpt, QuietOpt, TargetsOpt, refuse_others, split

_GATES, _OUTPUTS = "Gates", "Outputs"


def evaluate(
    context: typer.Context,
    bundle: BundleArg,
    data: Annotated[
        Path,
        typer.Option(help="Pairs: *_LR/*_HR files, two folders such as low and high, Rain100, LOL, DIV2K or SICE."),
    ],
    held_back: Annotated[
        bool, typer.Option("--held-back", help="Only the pictures held out from training (see its card).")
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Fail when an artifact loses more than this against PyTorch fp32, in dB RGB.", rich_help_panel=_GATES
        ),
    ] = None,
    min_psnr: Annotated[
        float | None, typer.Option(help="Fail when an artifact is below this, in dB RGB.", rich_help_panel=_GATES)
    ] = None,
    max_worst_drop: Annotated[
        float | None,
        typer.Option(
            help="Fail when any picture loses more than this against PyTorch fp32, in dB RGB.", rich_help_panel=_GATES
        ),
    ] = None,
    max_tile_drop: Annotated[
        float | None,
        typer.Option(
            help="Fail when any 64x64 pixels lose more than this against PyTorch fp32, in dB RGB.",
            rich_help_panel=_GATES,
        ),
    ] = None,
    max_ssim_drop: Annotated[
        float | None, typer.Option(help="Fail when more SSIM than this is lost.", rich_help_panel=_GATES)
    ] = None,
    max_color_shift: Annotated[
        float | None,
        typer.Option(
            help="Fail when a channel's mean is off by more than this in any picture, of 255.", rich_help_panel=_GATES
        ),
    ] = None,
    max_clipped: Annotated[
        float | None,
        typer.Option(
            help="Fail when more values than this are 0 or 255 beyond PyTorch's, in percent.", rich_help_panel=_GATES
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Confidence for --max-drop, such as 0.95: the whole interval of the mean must be within it. With too "
            "few pictures to tell, the gate says so and fails.",
            rich_help_panel=_GATES,
        ),
    ] = None,
    worst_tiles: Annotated[
        Path | None,
        typer.Option(help="Write a PNG of the 64x64 pixels where each artifact loses most.", rich_help_panel=_OUTPUTS),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="Fail when this artifact was not judged, for example for lack of its runtime; repeatable.",
            metavar="TARGET/PRECISION",
            rich_help_panel=_GATES,
        ),
    ] = None,
    target: TargetsOpt = "",
    precision: PrecisionsOpt = "",
    junit: Annotated[
        Path | None, typer.Option(help="Write the outcome as JUnit XML for CI.", rich_help_panel=_OUTPUTS)
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the figures in the bundle and its report.", rich_help_panel=_OUTPUTS)
    ] = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Accuracy gate for CI: PSNR and SSIM of every artifact against ground truth, and its loss against PyTorch fp32.

    A modified file fails the gate, too. Artifacts that cannot run here are listed; --require makes that a failure. A
    runtime that takes minutes for a picture (Core AI's on Linux) judges only targets that --target or --require name.

    Every loss is taken picture by picture; its mean has a 95 % interval. Systems of matting are judged by SAD and MSE
    on composites made of the photos in --data, without gates.

    Example: clearport eval out/x3 --data pairs/ --max-drop 0.1 --confidence 0.95 --max-tile-drop 1 --junit eval.xml
    """
    from clearport.bundle.system import is_system
    from clearport.cli.progress import progress_bar
    from clearport.cli.show_quality import show_quality
    from clearport.pipeline.eval import evaluate_bundle, gate_outputs, record_quality, save_worst_tiles
    from clearport.pipeline.evaluation.limits import Limits
    from clearport.pipeline.evaluation.rows import EvalRequest

    if is_system(bundle):
        from clearport.cli import systems as cli_systems

        taken = {"bundle", "data", "target", "precision", "json", "quiet"}
        refuse_others(context, bundle, taken, "its figures are shown without gates")
        cli_systems.evaluate(bundle, data, split(target), split(precision), as_json=json, quiet=quiet)
        return
    limits = Limits(
        max_drop=max_drop,
        min_psnr=min_psnr,
        max_worst_drop=max_worst_drop,
        max_tile_drop=max_tile_drop,
        max_ssim_drop=max_ssim_drop,
        max_color_shift=max_color_shift,
        max_clipped=max_clipped,
        confidence=confidence,
    )
    limits.check()
    request = EvalRequest(
        folder=bundle,
        data=data,
        limits=limits,
        targets=split(target),
        precisions=split(precision),
        held_back=held_back,
        require=tuple(require or ()),
        worst_tiles=worst_tiles,
    )
    with gate_outputs(request, junit, record=record) as report:
        with progress_bar(quiet=quiet) as progress:
            outcome = evaluate_bundle(request, progress)
        report.checks = outcome.checks
        show_quality(outcome, as_json=json)  # first, so that results are shown even if they cannot be written
        save_worst_tiles(request, outcome)
        if record:
            record_quality(bundle, outcome)
    if not outcome.passed:
        raise typer.Exit(1)
