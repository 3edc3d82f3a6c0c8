"""Output of push and pull."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from clearport.base import scale_word
from clearport.cli.show import print_json, print_parts, table
from clearport.words import counted

if TYPE_CHECKING:
    from clearport.pipeline.stores.fetch import Fetched
    from clearport.pipeline.stores.pull import PulledBundle
    from clearport.pipeline.stores.push import Pushed
    from clearport.stores.index import Index


def show_pushed(pushed: Pushed, *, as_json: bool) -> None:
    """The version in the store."""
    if as_json:
        print_json(asdict(pushed))
        return
    said = "is in" if pushed.new else "is already in"
    size = f"{counted(pushed.files, 'file')}, {pushed.bytes / 1e6:.1f} MB"
    print_parts(f"{pushed.name}@{pushed.version} {said} {pushed.store} ({size})")
    print_parts(Text(pushed.promise, "dim"))


def show_pulled(pulled: PulledBundle, *, as_json: bool) -> None:
    """The bundle's folder and its left-out artifacts."""
    if as_json:
        print_json(asdict(pulled))
        return
    size = f"{counted(pulled.downloaded, 'file')} downloaded, {pulled.downloaded_bytes / 1e6:.1f} MB"
    came = size if pulled.downloaded else "everything was already here"
    print_parts(f"{pulled.folder}  {pulled.name}@{pulled.version}, {counted(pulled.files, 'file')} ({came})")
    if pulled.left_out:
        print_parts(Text(f"left out: {', '.join(pulled.left_out)}", "dim"))


def show_fetched(fetched: Fetched, *, as_json: bool) -> None:
    """The file, its checksum, and the next command."""
    if as_json:
        print_json(asdict(fetched))
        return
    print_parts(f"{fetched.path}  {fetched.bytes / 1e6:.1f} MB, SHA-256 {fetched.sha256}")
    print_parts(f"fits {fetched.network} x{fetched.scale}: {fetched.read_as}")
    if fetched.terms:
        print_parts(Text(f"published: {fetched.terms}", "dim"))
    scale = f" --scale {fetched.scale}" if fetched.scale > 1 else ""
    print_parts(Text(f"next: clearport export {fetched.network}{scale} --weights {fetched.path} --out DIR", "dim"))


def show_stored(store: str, index: Index, *, as_json: bool) -> None:
    """Every network of a store with its versions, latest first."""
    if as_json:
        print_json({"store": store, **index.model_dump(mode="json")})
        return
    rows = [
        (
            f"{record.name}@{record.version}",
            f"x{scale_word(record.scale)}",
            record.size,
            record.task,
            record.license,
            f"{record.bytes / 1e6:.1f}",
            ", ".join(record.artifacts),
        )
        for name in sorted(index.networks)
        for record in index.versions(name)
    ]
    columns = ("version", "scale", "size", "task", "license", "MB", "artifacts")
    print_parts(table(store, columns, rows, ("MB",)))
