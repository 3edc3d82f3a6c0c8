"""``clearport serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearport.cli.options import BundleArg, PrecisionsOpt, QuietOpt, TargetsOpt, split
from clearport.given import MOST_THREADS

if TYPE_CHECKING:
    from clearport.pipeline.serve import Served
    from clearport.runtime.devices.browser.desk import Event, RowCame

EXAMPLES = """Show a page that runs a bundle or a system in any browser: on this machine, or on a phone.

Of a bundle it checks the files against the golden pictures, measures them, and restores the visitor's own photo, all
within the browser. Latency records are sent back, one JSON file per device. Of a system it runs the program, with
clicks on the visitor's own photo or from a seed, and checks it against the golden outputs; nothing is sent back.

\b
This machine, or a phone on its USB cable (adb reverse tcp:8417 tcp:8417):
  clearport serve out/x3

\b
Phones on your network. Browsers enable WebGPU and threads over https only:
  clearport serve out/x3 --host 0.0.0.0 --certificate cert.pem --key key.pem
"""


def serve(
    bundle: BundleArg,
    host: Annotated[
        str, typer.Option(help="Listen on this address; 0.0.0.0 accepts phones on the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8417,
    records: Annotated[
        Path | None,
        typer.Option(help="Folder of a bundle's latency records; BUNDLE-browsers beside the bundle by default."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM) for https.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key (PEM) of the certificate.")] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, help="Default number of WASM threads on the page.")
    ] = 1,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of every file, at least.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.0, help="Measure every file for at least this long.")] = 1.0,
    target: TargetsOpt = "",
    precision: PrecisionsOpt = "",
    qr: Annotated[bool, typer.Option(help="Print the address as a QR code if phones can reach it.")] = True,
    quiet: QuietOpt = False,
) -> None:
    from clearport.pipeline.serve import ServeRequest, serve_bundle

    request = ServeRequest(
        folder=bundle,
        records=records,
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        threads=threads,
        runs=runs,
        seconds=seconds,
        targets=split(target),
        precisions=split(precision),
    )
    kept: list[bool] = []

    def started(served: Served) -> None:
        kept.append(served.records is not None)
        _announce(served, qr=qr)

    serve_bundle(request, started, (lambda _: None) if quiet else _tell)
    if not quiet:
        typer.echo("stopped; received records are kept" if any(kept) else "stopped", err=True)


serve.__doc__ = EXAMPLES


def _announce(served: Served, *, qr: bool) -> None:
    typer.echo(f"{served.title}: {served.candidates} browser configurations. Open\n\n  {served.address}\n")
    if qr and not served.local:
        _draw(served.address)
    for line in _advice(served):
        typer.echo(line, err=True)
    typer.echo(f"records go to {served.records}; Ctrl-C ends" if served.records else "Ctrl-C ends", err=True)


def _advice(served: Served) -> list[str]:
    if served.local:
        forward = f"adb reverse tcp:{served.port} tcp:{served.port}"
        return [f"for a phone on a USB cable: {forward}, and the same address there; on your network: --host 0.0.0.0"]
    if served.secure:
        return []
    withheld = "plain http from another machine: browsers withhold WebGPU and WASM threads"
    return [
        f"{withheld}, and the page measures WASM on one thread; for the rest: --certificate and --key, or adb reverse"
    ]


def _draw(text: str) -> None:
    """A QR code on the terminal, if its library is installed."""
    try:
        import segno
    except ImportError:
        return
    segno.make(text, micro=False).terminal(compact=True)


def _tell(event: Event) -> None:
    """One line per event on a device."""
    from clearport.runtime.devices.browser.desk import Fault, Greeted, RowCame, RunEnded

    if isinstance(event, Greeted):
        typer.echo(f"{event.facts.title}: opened the page", err=True)
    elif isinstance(event, RowCame):
        typer.echo(f"{event.title}: {event.number}/{event.asked} {event.row.key}: {_outcome(event)}", err=True)
    elif isinstance(event, RunEnded):
        typer.echo(f"{event.title}: {event.outcome}", err=True)
    elif isinstance(event, Fault):
        typer.echo(f"the page's server: {event.message}", err=True)


def _outcome(event: RowCame) -> str:
    from clearport.runtime.devices.browser.wire import StoredSkipped

    row = event.row
    if isinstance(row, StoredSkipped):
        return f"skipped: {row.reason}"
    verdict = {True: "golden passed", False: f"golden FAILED: {'; '.join(row.failures)}", None: "not judged"}[
        row.passed
    ]
    fallback = "" if row.unit_ran == event.candidate.unit else f", asked for the {event.candidate.unit}"
    if not row.samples_ms:
        return f"{verdict}, on {row.emulated}: no latency{fallback}"
    ratio = f" ({row.ratio.value:.2f} of {row.ratio.baseline})" if row.ratio else ""
    return f"{row.summary['median_ms']:.1f} ms{ratio} on the {row.unit_ran}{fallback}, {verdict}"
