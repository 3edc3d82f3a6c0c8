"""Validation of a data set's pictures before the first step, so that none stops a run later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.models.data.scenes import check_scenes
from clearport.pictures.images import load_rgb, looks_truncated, picture_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.models.data.layouts import Entry

MOST_UNUSABLE = 0.25
"""Maximum share of unusable entries; above it, the data set is refused."""

_MOST_NAMED = 3


def usable(entries: Sequence[Entry], scale: int, *, decode: bool = False) -> tuple[list[Entry], str]:
    """The usable entries, and a description of the others: truncated or empty files, pairs of sizes that do not match.

    Args:
        entries: inputs, targets, or pairs of them.
        scale: scale of the network.
        decode: for an evaluation: decode every picture, not only those that look truncated.

    Raises:
        BadInput: more than ``MOST_UNUSABLE`` of the entries are unusable, or
            pairs do not belong together (``scenes.check_scenes``).
    """
    kept, wrong = [], []
    for entry in entries:
        paths = [path for path in (entry.low, entry.high) if path is not None]
        try:
            sizes = [picture_size(path) for path in paths]
            for path in paths:
                if decode or looks_truncated(path):
                    load_rgb(path)  # raises if anything is wrong
            if len(paths) == 2 and entry.aligned:
                check_fit(entry, sizes[0], sizes[1], scale)
            kept.append(entry)
        except BadInput as error:
            wrong.append(error)
    if len(wrong) > MOST_UNUSABLE * len(entries):
        more = f" ({len(wrong)} of {len(entries)} cannot be used)" if len(wrong) > 1 else ""
        raise BadInput(f"{wrong[0]}{more}") from wrong[0]
    pairs = [(e.low, e.high) for e in kept if e.aligned and e.low is not None and e.high is not None]
    check_scenes(pairs, judging=decode)
    named = "; ".join(str(error) for error in wrong[:_MOST_NAMED]) + ("; ..." if len(wrong) > _MOST_NAMED else "")
    return kept, f"left out: {len(wrong)} unusable: {named}" if wrong else ""


def check_fit(entry: Entry, low: tuple[int, int], high: tuple[int, int], scale: int) -> None:
    """Compare the sizes of a pair; a target may have up to ``scale - 1`` extra rows and columns, which are cropped.

    Raises:
        BadInput: they do not match.
    """
    if all(0 <= theirs - mine * scale < scale for mine, theirs in zip(low, high, strict=True)):
        return
    assert entry.low is not None
    raise BadInput(
        f"{entry.high}: {high[0]}x{high[1]} pixels; the target of {entry.low.name} ({low[0]}x{low[1]}) "
        f"at scale {scale} has {low[0] * scale}x{low[1] * scale}"
    )
