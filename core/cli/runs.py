"""``clearport verify``, ``run`` and ``report``, for bundles and systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearport.cli.options import BundleArg, JsonOpt, QuietOpt
from clearport.given import MOST_THREADS


def verify(
    bundle: BundleArg,
    signed_by: Annotated[
        Path | None, typer.Option(help="Public key (PEM) of the expected signer.", show_default=False)
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(help="The signature, if not in the bundle.", show_default=False)
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Prove files in another runtime, too, such as onnxruntime-1.17, or in all installed ones: all "
            "(python -m clearport.runtime.older.setup); repeatable.",
            metavar="NAME",
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for the summary of a CI job.")] = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Check a bundle from disk: every checksum, then every artifact, loaded and run on the golden picture.

    Example: clearport verify out/x3
    """
    from clearport.cli.progress import progress_bar
    from clearport.cli.show import show_checks
    from clearport.pipeline.systems.verify import verify_any

    with progress_bar(quiet=quiet) as progress:
        checks = verify_any(bundle, progress, signed_by=signed_by, signature=signature, runtimes=tuple(runtime or ()))
    if markdown:
        from clearport.reports.summary import job_summary

        typer.echo(job_summary(f"{bundle}", checks), nl=False)
    else:
        show_checks(checks, as_json=json)
    if any(check.passed is False for check in checks):
        raise typer.Exit(1)


def run(
    bundle: BundleArg,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File of the restored picture (PNG; .npy for other outputs).")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="The picture to restore: PNG, JPEG, WebP, BMP or TIFF. One per input, in the network's order or as "
            "NAME=FILE; arrays (.npy) for inputs that are not pictures. Systems that begin with noise need none.",
            metavar="[PICTURE...]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="Target of the artifact.")] = "tflite",
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of the artifact; int8 by default (systems: the smallest that is proven as a whole)."
        ),
    ] = "",
    variant: Annotated[str | None, typer.Option(help="Variant of the artifact, if there are several.")] = None,
    click: Annotated[
        list[str] | None,
        typer.Option(
            help="Systems: a foreground pixel X,Y, or a background pixel with a leading minus; repeatable.",
            metavar="X,Y",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Systems: seed of the noise; 0 by default.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Systems: a setting of the program; repeatable.", metavar="NAME=NUMBER"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="CPU threads.")] = 1,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Restore a picture of any size with one artifact of a bundle (larger pictures in seamless tiles), or run a system.

    Examples: clearport run out/x3 photo.jpg -o photo_x3.png --target tflite --precision int8
    and clearport run out/sin -o picture.png --seed 7
    """
    from clearport.bundle.system import is_system
    from clearport.errors import BadInput

    if is_system(bundle):
        from clearport.cli import systems as cli_systems
        from clearport.pipeline.systems.run import SystemRequest

        asked = SystemRequest(
            folder=bundle,
            inputs=tuple(inputs or ()),
            output=output,
            clicks=tuple(click or ()),
            seed=seed or 0,
            settings=tuple(setting or ()),
            target=target,
            precision=precision,
            variant=variant,
            threads=threads,
        )
        cli_systems.run(asked, as_json=json, quiet=quiet)
        return
    if click or setting or seed is not None:
        raise BadInput(f"{bundle}: --click, --seed and --set are for systems of several parts")
    if not inputs:
        raise BadInput("give the picture to restore: clearport run BUNDLE PICTURE -o OUTPUT")
    from clearport.cli.progress import progress_bar
    from clearport.cli.show import show_restored
    from clearport.pipeline.run import RunRequest, restore_picture

    request = RunRequest(
        folder=bundle,
        inputs=tuple(inputs),
        output=output,
        target=target,
        precision=precision or "int8",
        variant=variant,
        threads=threads,
    )
    with progress_bar(quiet=quiet) as progress:
        restored = restore_picture(request, progress)
    show_restored(restored, as_json=json)


def report(bundle: BundleArg) -> None:
    """Rewrite report.html (one self-contained page) and report.md of a bundle.

    Example: clearport report out/x3
    """
    from clearport.bundle.folder import Bundle, changing
    from clearport.bundle.system import System, is_system
    from clearport.disk import outputs
    from clearport.reports.html import write_reports
    from clearport.reports.systems.report import write_reports as write_system_reports

    if is_system(bundle):
        system = System.load(bundle)
        with outputs.claimed(outputs.OutFolder(bundle, "the report")):
            for path in write_system_reports(system):
                typer.echo(path)
        return
    with changing(bundle, "the report"):
        for path in write_reports(Bundle.load(bundle)):
            typer.echo(path)
