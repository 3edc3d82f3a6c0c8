"""``clearport push``, ``pull``, ``fetch``, ``sign`` and ``bom``: publishing and fetching bundles, and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearport.cli.options import BundleArg, ForceOpt, JsonOpt, PrecisionsOpt, QuietOpt, ScaleOpt, TargetsOpt, split

_STORES = "a folder, hf://OWNER/REPOSITORY, s3://BUCKET/PATH or another address that fsspec knows"


def push(
    bundle: BundleArg,
    store: Annotated[str, typer.Argument(help=f"Destination: {_STORES}.", metavar="STORE")],
    name: Annotated[str, typer.Option(help="Name in the store; the network's own by default.")] = "",
    version: Annotated[
        str, typer.Option("--version", help="Semantic version; the latest plus one patch by default.")
    ] = "",
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Publish a bundle in a store as a new version of its network. Versions are never replaced.

    Example: clearport push out/x3 /srv/networks --version 1.2.0
    """
    from clearport.cli.progress import progress_bar
    from clearport.cli.show_stores import show_pushed
    from clearport.pipeline.stores.push import PushRequest, push_bundle

    with progress_bar(quiet=quiet) as progress:
        pushed = push_bundle(PushRequest(bundle, store, name, version), progress)
    show_pushed(pushed, as_json=json)


def pull(
    address: Annotated[
        str,
        typer.Argument(
            help="A network of a store; without @VERSION the latest. STORE is a folder, https://..., "
            "hf://OWNER/REPOSITORY, s3://... or another address that fsspec knows.",
            metavar="STORE/NAME[@VERSION]",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the bundle; NAME-VERSION by default.", show_default=False)
    ] = None,
    target: TargetsOpt = "",
    precision: PrecisionsOpt = "",
    list_: Annotated[bool, typer.Option("--list", help="List the contents of STORE or STORE/NAME.")] = False,
    force: ForceOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Fetch a bundle, or some of its artifacts, from a store; every file is checked against the index.

    Example: clearport pull https://example.com/networks/ncnet@1.2.0 --target tflite --precision int8
    """
    from clearport.cli.progress import progress_bar
    from clearport.cli.show_stores import show_pulled, show_stored
    from clearport.pipeline.stores.pull import PullRequest, pull_bundle, stored

    if list_:
        show_stored(*stored(address), as_json=json)
        return
    request = PullRequest(address, out, split(target), split(precision), force)
    with progress_bar(quiet=quiet) as progress:
        pulled = pull_bundle(request, progress)
    show_pulled(pulled, as_json=json)


def fetch(
    network: Annotated[
        str, typer.Argument(help="The network in 'clearport list' for which they are.", metavar="NETWORK")
    ],
    address: Annotated[
        str,
        typer.Argument(
            help="https://..., hf://OWNER/REPOSITORY/FILE, s3://... or another address that fsspec knows.",
            metavar="ADDRESS",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Output file; by default their own name in the current folder.", show_default=False),
    ] = None,
    scale: ScaleOpt = None,
    sha256: Annotated[str, typer.Option(help="The SHA-256 that the file must have.", metavar="HEX")] = "",
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Fetch published weights; they are kept only if they fit the network. No code in them is run.

    'clearport list NETWORK' shows who published weights, and their license.

    Example: clearport fetch rlfn https://example.com/rlfn_ntire_x4.pth --scale 4
    """
    from clearport.cli.progress import progress_bar
    from clearport.cli.show_stores import show_fetched
    from clearport.pipeline.stores.fetch import FetchRequest, fetch_weights

    with progress_bar(quiet=quiet) as progress:
        fetched = fetch_weights(FetchRequest(network, address, out, scale, sha256), progress)
    show_fetched(fetched, as_json=json)


def sign(
    bundle: BundleArg,
    key: Annotated[
        Path,
        typer.Option(help="Private key (PEM; ECDSA on P-256, P-384 or P-521). CLEARPORT_KEY_PASSWORD is its password."),
    ],
    out: Annotated[Path | None, typer.Option(help="File of the signature; model.sig in the bundle by default.")] = None,
) -> None:
    """Sign a bundle in the format of OpenSSF model signing; 'clearport verify --signed-by PUBLIC_KEY' checks it.

    Example: clearport sign out/x3 --key key.pem
    """
    from clearport.pipeline.stores.sign import sign_bundle

    typer.echo(sign_bundle(bundle, key, out))


def bom(
    bundle: BundleArg,
    out: Annotated[Path | None, typer.Option(help="File (JSON); standard output by default.")] = None,
) -> None:
    """Write a CycloneDX bill of materials of a bundle: network, data, files, tools, and measured quality.

    Example: clearport bom out/x3 --out x3.cdx.json
    """
    from clearport.pipeline.stores.bom import write_bom

    said = write_bom(bundle, out)
    typer.echo(said, nl=out is not None)
