"""The public Python interface to what leaves this machine: source code for apps, and stores of bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clearport import given
from clearport.protocols import no_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.pipeline.kit import KitMade
    from clearport.pipeline.stores.pull import PulledBundle
    from clearport.pipeline.stores.push import Pushed
    from clearport.protocols import Progress

    AnyPath = str | Path


def kit(
    folder: AnyPath,
    out: AnyPath,
    language: str,
    *,
    target: str = "",
    precision: str = "",
    variant: str | None = None,
    progress: Progress = no_progress,
) -> KitMade:
    """Write source code for an app around one artifact: load, tiles of any size, and a self-test on golden pictures.

    ``out`` is empty or not there; ``language`` is ``python``, ``cpp``, ``typescript``, ``kotlin`` or ``swift``. The
    artifact is that of the language's first target in int8 (swift: fp16), unless another is named.

    Raises:
        BadInput: there is no kit for this language, target or network, or the folder cannot be written.
    """
    from clearport.pipeline.kit import KitRequest, write_kit

    place, to = given.path("folder", folder), given.path("out", out)
    return write_kit(KitRequest(place, given.text("language", language), to, target, precision, variant), progress)


def push(folder: AnyPath, store: str, *, name: str = "", version: str = "", progress: Progress = no_progress) -> Pushed:
    """Put a bundle into a store as a new version; versions are never replaced.

    Args:
        folder: the bundle.
        store: a folder, ``hf://OWNER/REPOSITORY``, ``s3://BUCKET/PATH`` or another address that fsspec knows.
        name: its name there; the network's own if empty.
        version: semantic version; the latest plus one patch if empty.

    Raises:
        BadInput: there is no bundle, a file of it was changed, the version is taken, or the store cannot be written.
        CheckFailed: a check of the bundle did not hold.
    """
    from clearport.pipeline.stores.push import PushRequest, push_bundle

    return push_bundle(
        PushRequest(given.path("folder", folder), given.paths("store", store)[0], name, version), progress
    )


def pull(
    address: str,
    out: AnyPath | None = None,
    *,
    targets: Sequence[str] = (),
    precisions: Sequence[str] = (),
    force: bool = False,
    progress: Progress = no_progress,
) -> PulledBundle:
    """Fetch a bundle from a store, ``STORE/NAME`` or ``STORE/NAME@VERSION``; every file is checked.

    STORE is as for ``push``, or ``https://...``; ``out`` None is ``NAME-VERSION`` here, and ``force`` replaces a bundle
    there. Empty ``targets`` and ``precisions`` mean all.

    Raises:
        BadInput: there is no such store, network, version or artifact, or a file is not as the index says.
    """
    from clearport.pipeline.stores.pull import PullRequest, pull_bundle

    place, source = given.path_or_none("out", out), given.text("address", address)
    wanted = given.names("targets", targets), given.names("precisions", precisions)
    return pull_bundle(PullRequest(source, place, *wanted, force), progress)
