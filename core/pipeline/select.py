"""Which artifacts of a bundle a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import PRECISIONS, BadInput
from clearport.registry import TARGETS

if TYPE_CHECKING:
    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord


def select(bundle: Bundle, targets: tuple[str, ...], precisions: tuple[str, ...]) -> list[ArtifactRecord]:
    """The artifacts of ``targets`` (empty: all) at ``precisions`` (empty: all), in the bundle's order.

    Raises:
        BadInput: a name is unknown, or the bundle has no such artifact.
    """
    for name in targets:
        TARGETS.get(name)
    unknown = [p for p in precisions if p not in PRECISIONS]
    if unknown:
        raise BadInput(f"unknown precision {unknown[0]!r} (there are: {', '.join(PRECISIONS)})")
    found = [
        record
        for record in bundle.artifacts
        if (not targets or record.target in targets) and (not precisions or record.precision in precisions)
    ]
    if not found:
        there = ", ".join(record.key for record in bundle.artifacts) or "nothing"
        raise BadInput(f"{bundle.folder}: no artifact was asked for that is there (there are: {there})")
    return found
