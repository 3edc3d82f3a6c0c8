"""Seamless tiling: pictures of any size through an artifact of fixed size (or in bounded memory).

Only pixels whose receptive field lies within the tile are kept: ``halo`` pixels are dropped at every side that is not a
border of the picture. Tiles at the far borders are shifted inward, so that the network's own padding acts where it
would act in the whole picture. The result equals that of the whole picture, with two exceptions that no tiling can
avoid: a picture smaller than the artifact's input, or whose sides are not multiples of the network's divisor, is first
extended by mirroring (on Set5 that costs NCNet x3 0.006 dB; repeating the last pixels would cost 0.042 dB). If unpadded
windows remove a border, the picture is extended by it, so that the result has the input size times the scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clearport.base import Artifact, Scale, Size, TensorSpec
from clearport.errors import BadInput, CheckFailed
from clearport.graph import shapes
from clearport.pictures.images import MAX_PIXELS
from clearport.runtime import pixels

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.runtime.worker.worker import Worker

Infer = Callable[["Image8"], "Array"]
"""One inference on a picture of a size that the artifact takes: to a picture, or to values of high dynamic range."""

Progress = Callable[[int, int], None]
"""Called after every tile with the numbers of finished and of all tiles."""

_WHOLE_PIXELS = 1 << 19  # 720x720: about 0.5 GB of activations in a float network of 64 channels
_MOST_PIXELS = 1 << 23  # 8 megapixels, where cutting changes the result: some GB, which beats seams


class Reach(Protocol):
    """The properties of a network that tiling needs; see ``clearport.model_spec.ModelSpec``."""

    @property
    def halo(self) -> int: ...

    @property
    def size_multiple(self) -> int: ...

    @property
    def whole_picture(self) -> bool | None: ...


@dataclass(frozen=True)
class Tiling:
    """Constraints on tiles of an artifact.

    Attributes:
        scale: output pixels per input pixel, along each axis; a fraction where tiles start and end on whole pixels of
            both (``multiple`` is a multiple of its denominator).
        halo: input pixels on each side that an output pixel depends on.
        multiple: sides and starts of tiles are multiples of this.
        size: the artifact's fixed input size; None if dynamic.
        whole_pixels: for artifacts of dynamic size: pictures of at most this many pixels are not cut.
        crop: output pixels that the output lacks relative to the scale, both borders together (negative: has in
            addition).
    """

    scale: Scale
    halo: int
    multiple: int = 1
    size: Size | None = None
    whole_pixels: int = _WHOLE_PIXELS
    crop: int = 0

    @classmethod
    def of(cls, network: Reach, scale: Scale, source: TensorSpec, crop: int = 0) -> Tiling:
        """The tiling of a network's artifact whose first picture is ``source``."""
        size = shapes.size_of(source)
        whole = _MOST_PIXELS if network.whole_picture else _WHOLE_PIXELS
        multiple = math.lcm(network.size_multiple, Fraction(scale).denominator)
        border = _border(crop, scale)
        return cls(scale, max(network.halo, *border), multiple, size, whole, crop)

    @property
    def border(self) -> tuple[int, int]:
        """Input pixels by which a picture is extended before its first and after its last, for what outputs lack."""
        return _border(self.crop, self.scale)

    def enlarged(self, size: Size) -> Size:
        """The output size of a picture, rounded up if the scale is a fraction."""
        return Size(math.ceil(size.height * self.scale), math.ceil(size.width * self.scale))

    def cuts(self, side: int) -> bool:
        """Whether tiles with sides of this many pixels have anything left without their halo."""
        return side - 2 * self.halo >= self.multiple

    @property
    def uncuttable(self) -> bool:
        """Whether larger pictures than the artifact's one size cannot be restored by it."""
        return self.size is not None and not (self.cuts(self.size.height) and self.cuts(self.size.width))

    def rounded(self, picture: Size) -> Size:
        """The size of a picture, extended and rounded up to a valid size."""
        return Size(*(_up(n + sum(self.border), self.multiple) for n in (picture.height, picture.width)))

    def larger(self) -> Size:
        """A size for the artifact with which pictures of any size can be cut, and most of a tile is kept; every target
        that takes the present one takes it.
        """
        assert self.size is not None
        least = _up(4 * self.halo + 2 * self.multiple, self.multiple)
        return Size(*(side if self.cuts(side) else least for side in (self.size.height, self.size.width)))


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in input pixels: its start, and the kept pixels of the picture."""

    start: int
    keep_from: int
    keep_to: int


@dataclass(frozen=True)
class Plan:
    """The tiling of a picture: ``padded`` is its size after extension, ``tile`` the size of every tile."""

    padded: Size
    tile: Size
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def tiles(self) -> int:
        """Number of inferences for the picture."""
        return len(self.rows) * len(self.columns)


def engine(worker: Worker, artifact: Artifact, others: Sample | None = None) -> Infer:
    """An artifact that is open in ``worker`` as a function from picture to picture, or to light: float32 (H, W, C).

    Several input pictures are concatenated along the channels, in input order, so that they are cut alike.
    ``others`` are the values of inputs other than pictures, the same for every tile.

    Raises:
        BadInput: it outputs no picture, an input other than a picture has no value, or its pictures have different
            sizes.
    """
    given = dict(others or {})
    result = check_cuttable(artifact, tuple(given))
    pictures = [spec for spec in artifact.inputs if spec.is_picture]
    ends = np.cumsum([spec.channels for spec in pictures])[:-1]

    def infer(tile: Image8) -> Array:
        parts = np.split(tile, ends, axis=2)
        sample = {spec.name: part for spec, part in zip(pictures, parts, strict=True)} | given
        found = worker.outputs(pixels.tensors(sample, artifact.inputs), [result.name])
        return (pixels.to_image if result.is_picture else pixels.to_map)(found[result.name], result)

    return infer


def check_cuttable(artifact: Artifact, given: Sequence[str] = ()) -> TensorSpec:
    """The picture, or map of high dynamic range, that an artifact gives of tiles of pictures.

    Raises:
        BadInput: it gives none, takes something else than pictures that is not among ``given``, or pictures of
            different sizes.
    """
    result = shapes.lead(artifact.outputs)
    if not (result.is_picture or result.transfer):
        raise BadInput(f"{artifact.key} outputs no picture but {result.name!r} ({result.kind})")
    lacking = [spec for spec in artifact.inputs if not spec.is_picture and spec.name not in given]
    if lacking:
        told = ", ".join(f"{spec.name!r} ({spec.kind})" for spec in lacking)
        raise BadInput(f"{artifact.key} has inputs other than pictures: {told}")
    sizes = {pixels.image_size(spec) for spec in artifact.inputs if spec.is_picture}
    if len(sizes) > 1:
        told = ", ".join("x".join(map(str, size)) for size in sizes)
        raise BadInput(f"{artifact.key} has input pictures of different sizes ({told}), which cannot share tiles")
    return result


def plan(picture: Size, tiling: Tiling) -> Plan:
    """Cut a picture of this size.

    Raises:
        BadInput: the artifact's size leaves nothing of a tile once its halo is dropped.
    """
    padded = tiling.rounded(picture)
    tile = tiling.size or _tile_of_any_size(padded, tiling)
    padded = Size(max(padded.height, tile.height), max(padded.width, tile.width))
    if (padded.height > tile.height and not tiling.cuts(tile.height)) or (
        padded.width > tile.width and not tiling.cuts(tile.width)
    ):
        raise BadInput(_uncut(picture, tile, tiling))
    return Plan(
        padded,
        tile,
        _spans(padded.height, tile.height, picture.height, tiling),
        _spans(padded.width, tile.width, picture.width, tiling),
    )


def strips(image: Image8, infer: Infer, tiling: Tiling, progress: Progress | None = None) -> Iterator[Array]:
    """Restore ``image`` (H, W, C): full-width strips of the result from top to bottom, each (rows, W * scale, C).

    Only one strip is in memory at a time, so that pictures may be larger than what fits there restored.

    Raises:
        BadInput: see ``plan``.
        CheckFailed: a tile's output does not have the size that follows from the scale.
    """
    height, width = image.shape[:2]
    cut = plan(Size(height, width), tiling)
    before, _ = tiling.border
    if before:
        image = np.pad(image, ((before, 0), (before, 0), (0, 0)), mode="symmetric")
    done = 0
    for row in cut.rows:
        blocks = []
        for column in cut.columns:
            block = _sized(infer(_tile(image, row.start, column.start, cut.tile)), cut.tile, tiling)
            blocks.append(_kept(block, row, column, tiling))
            done += 1
            if progress is not None:
                progress(done, cut.tiles)
        yield np.concatenate(blocks, axis=1)


def restore(image: Image8, infer: Infer, tiling: Tiling, progress: Progress | None = None) -> Array:
    """Restore ``image`` (H, W, C) to (H * scale, W * scale, C).

    Raises:
        BadInput: see ``plan``.
    """
    return np.concatenate(list(strips(image, infer, tiling, progress)), axis=0)


def _uncut(picture: Size, tile: Size, tiling: Tiling) -> str:
    """Why a picture cannot be cut, and a size with which it can."""
    own = tiling.rounded(picture)
    whole = f", or with --size {own}, which takes this picture at once" if own.height * own.width <= MAX_PIXELS else ""
    return (
        f"this artifact takes {tile} pixels where the picture has {picture}, and cannot be tiled: its network sees "
        f"{tiling.halo} pixels to each side, so that nothing of a tile would be left; export it again with "
        f"--size {tiling.larger()}, which cuts pictures of any size{whole}"
    )


def _border(crop: int, scale: Scale) -> tuple[int, int]:
    whole = Fraction(scale).denominator  # input pixels that make whole output pixels
    before, after = (_up(math.ceil(max(n, 0) / Fraction(scale)), whole) for n in (crop // 2, crop - crop // 2))
    return before, after


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _tile_of_any_size(padded: Size, tiling: Tiling) -> Size:
    """The whole picture if it is small enough, or a square of that many pixels."""
    if padded.height * padded.width <= tiling.whole_pixels:
        return padded
    # Narrow pictures make longer tiles. A tile that is mostly halo would cost more time than it saves memory.
    side = math.isqrt(tiling.whole_pixels)
    limit = max(side, tiling.whole_pixels // min(padded.height, padded.width), 4 * tiling.halo + 2 * tiling.multiple)
    limit = limit // tiling.multiple * tiling.multiple
    return Size(min(padded.height, limit), min(padded.width, limit))


def _spans(padded: int, tile: int, picture: int, tiling: Tiling) -> tuple[Span, ...]:
    """Tiles along an axis of ``padded`` pixels, of which ``picture`` are real, behind the first border."""
    first, whole = tiling.border[0], Fraction(tiling.scale).denominator  # input pixels that make whole output pixels
    spans: list[Span] = []
    kept = first
    while kept < first + picture:
        start = 0 if kept == first else (kept - tiling.halo) // tiling.multiple * tiling.multiple
        start = min(start, padded - tile)
        end = padded if start + tile == padded else (start + tile - tiling.halo) // whole * whole
        spans.append(Span(start, kept, min(end, first + picture)))
        kept = end
    return tuple(spans)


def _tile(image: Image8, top: int, left: int, size: Size) -> Image8:
    """A tile of the picture, mirrored beyond the far borders."""
    part = image[top : top + size.height, left : left + size.width]
    below, right = size.height - part.shape[0], size.width - part.shape[1]
    return np.pad(part, ((0, below), (0, right), (0, 0)), mode="symmetric") if below or right else part


def _sized(block: Array, tile: Size, tiling: Tiling) -> Array:
    wanted = (*(side * tiling.scale - tiling.crop for side in (tile.height, tile.width)), block.shape[2])
    if block.shape != wanted:
        told = ", ".join(map(str, wanted))
        raise CheckFailed(f"for a tile of {tile} the artifact outputs a picture of shape {block.shape}, not ({told})")
    return block


def _kept(block: Array, row: Span, column: Span, tiling: Tiling) -> Array:
    lead = tiling.crop // 2
    rows, columns = (
        slice(*(math.ceil((at - span.start) * tiling.scale) - lead for at in (span.keep_from, span.keep_to)))
        for span in (row, column)
    )
    return block[rows, columns]
