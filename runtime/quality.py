"""Quality of an artifact against ground truth: PSNR and SSIM per picture and on average, for a folder of pairs.

Folders are ``DIR/<name>_LR.png + DIR/<name>_HR.png`` for super resolution, or any layout with inputs and targets that
training takes (see ``models/data/layouts.py``): two folders such as ``rainy`` and ``clean``, Rain100, LOL, DIV2K, SICE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.errors import BadInput
from clearport.models.data.check import usable
from clearport.models.data.layouts import find_layout
from clearport.pictures.images import load_rgb
from clearport.runtime import metrics, tile_errors

if TYPE_CHECKING:
    from clearport.models.data.layouts import Entry
    from clearport.pictures.images import Image8
    from clearport.runtime.tile_errors import TileErrors

_LAYOUTS = (
    "expected <name>_LR.png beside <name>_HR.png, two folders of pictures with the same names such as "
    "low/ and high/, rainy/ and clean/, LQ/ and GT/, or a file pairs.json"
)


@dataclass(frozen=True)
class Pair:
    """A degraded picture and its ground truth."""

    name: str
    degraded: Path
    clean: Path


@dataclass(frozen=True)
class ImageScore:
    """One picture.

    Attributes:
        name: of the pair.
        psnr_rgb_db, psnr_y_db: in dB, at most ``metrics.PSNR_CAP_DB``.
        ssim: None if the picture is smaller than SSIM's window.
        channel_means: of R, G and B, in levels of 255.
        clipped_share: the share (0..1) of values at 0 or 255.
        tiles: errors by tile.
    """

    name: str
    psnr_rgb_db: float
    psnr_y_db: float
    ssim: float | None
    channel_means: tuple[float, float, float]
    clipped_share: float
    tiles: TileErrors


@dataclass(frozen=True)
class QualityReport:
    """Scores of a data set; the figures are means over pictures (of ``ssim`` over those that have one)."""

    data: str
    protocol: str
    images: tuple[ImageScore, ...]
    psnr_rgb_db: float
    psnr_y_db: float
    ssim: float | None


def protocol(border: int) -> str:
    """The protocol of ``evaluate``'s figures, in words for a report."""
    cut = f"{border} pixels cut at every border" if border else "no border cut"
    return (
        f"8-bit pictures (clipped, rounded half to even), {cut}; PSNR over RGB, and over BT.601 luma (16..235, "
        f"unrounded), peak 255, equal pictures count {metrics.PSNR_CAP_DB:g} dB; SSIM over luma, Gaussian 11x11, "
        "sigma 1.5; mean over pictures"
    )


@dataclass(frozen=True)
class Judged:
    """The pairs of a folder; ``line`` describes the selection, ``unusable`` the unusable pairs, if any."""

    pairs: tuple[Pair, ...]
    line: str
    unusable: str


def find_pairs(folder: Path, scale: int = 1, held_back: Collection[str] | None = None) -> tuple[Pair, ...]:
    """All pairs in ``folder``, by name, found without opening files: see ``judged_pairs``."""
    entries, _ = _entries(folder, scale, held_back)
    return _named(folder, entries)


def judged_pairs(folder: Path, scale: int = 1, held_back: Collection[str] | None = None) -> Judged:
    """The pairs for evaluation in ``folder``; of a data set with splits, those of the evaluation split.

    With ``held_back``, the pairs of these groups (scenes, targets) of the training split. A few pairs that are
    unreadable or do not match in size are skipped.

    Raises:
        BadInput: there is no such folder, it has no known layout, a picture has no partner, or none is held back.
    """
    entries, line = _entries(folder, scale, held_back)
    kept, unusable = usable(entries, scale, decode=True)
    return Judged(_named(folder, kept), line, unusable)


def _entries(folder: Path, scale: int, held_back: Collection[str] | None) -> tuple[list[Entry], str]:
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of picture pairs; no such folder")
    try:
        found = find_layout(folder, scale, purpose="judge" if held_back is None else "train")
    except BadInput as error:
        raise BadInput(f"{error}; {_LAYOUTS}") from error
    entries = [e for e in found.entries if e.low is not None and e.high is not None]
    if not entries:
        raise BadInput(f"{folder}: it contains no picture pairs; {_LAYOUTS}")
    if held_back is not None:
        entries = [entry for entry in entries if entry.group in held_back]
        if not entries:
            raise BadInput(f"{folder}: the network's card lists no held-out picture of this folder")
    return entries, found.line


def _named(folder: Path, entries: Sequence[Entry]) -> tuple[Pair, ...]:
    """Pairs by the name of their input, or its path where names repeat; sorted."""
    pairs = [(e.low, e.high) for e in entries if e.low is not None and e.high is not None]
    stems = [re.sub("_LR$", "", low.stem) for low, _ in pairs]
    if len(set(stems)) < len(stems):
        stems = [low.relative_to(folder).with_suffix("").as_posix() for low, _ in pairs]
    if len(set(stems)) < len(stems):
        stems = [low.relative_to(folder).as_posix() + f" ({high.name})" for low, high in pairs]
    return tuple(sorted((Pair(s, *pair) for s, pair in zip(stems, pairs, strict=True)), key=lambda pair: pair.name))


def evaluate(
    pairs: Sequence[Pair],
    restore: Callable[[Image8], Image8],
    scale: int,
    data: str,
    progress: Callable[[int, int], None] | None = None,
    seen: Callable[[ImageScore, Image8, Image8], None] | None = None,
) -> QualityReport:
    """Restore the degraded picture of every pair and score it; for super resolution ``scale`` pixels of border are cut.

    ``seen`` is called with each score, the restored picture, and the ground truth of the same size.

    Raises:
        BadInput: a picture cannot be read, or the two of a pair do not fit each other.
    """
    border = scale if scale > 1 else 0
    scores = []
    for done, pair in enumerate(pairs, start=1):
        scores.append(_score(pair, restore, scale, border, seen))
        if progress is not None:
            progress(done, len(pairs))
    similar = [s.ssim for s in scores if s.ssim is not None]
    return QualityReport(
        data=data,
        protocol=protocol(border),
        images=tuple(scores),
        psnr_rgb_db=sum(s.psnr_rgb_db for s in scores) / len(scores),
        psnr_y_db=sum(s.psnr_y_db for s in scores) / len(scores),
        ssim=sum(similar) / len(similar) if similar else None,
    )


def _score(
    pair: Pair,
    restore: Callable[[Image8], Image8],
    scale: int,
    border: int,
    seen: Callable[[ImageScore, Image8, Image8], None] | None,
) -> ImageScore:
    degraded, clean = load_rgb(pair.degraded), load_rgb(pair.clean)
    height, width = (n * scale for n in degraded.shape[:2])
    spare = clean.shape[0] - height, clean.shape[1] - width
    # Ground truth may have up to scale - 1 more rows and columns than the restored picture.
    if not all(0 <= n < scale for n in spare):
        raise BadInput(
            f"{pair.clean}: {clean.shape[0]}x{clean.shape[1]} pixels do not fit {pair.degraded.name}, which is "
            f"{degraded.shape[0]}x{degraded.shape[1]}: expected {height}x{width} at scale {scale}"
        )
    restored, clean = restore(degraded), clean[:height, :width]
    if min(height, width) <= 2 * border:
        raise BadInput(f"{pair.clean}: a border of {border} leaves nothing of {height}x{width} pixels")
    rgb, luma = (metrics.psnr_db(restored, clean, border, space) for space in ("RGB", "Y"))
    score = ImageScore(
        name=pair.name,
        psnr_rgb_db=rgb,
        psnr_y_db=luma,
        ssim=metrics.ssim(restored, clean, border),
        channel_means=metrics.channel_means(restored, border),
        clipped_share=metrics.clipped_share(restored, border),
        tiles=tile_errors.measure(restored, clean, border),
    )
    if seen is not None:
        seen(score, restored, clean)
    return score
