"""What is measured of a network that nobody described: sizes, scale, reach, and whether it gives the same twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.errors import BadInput, ClearportError
from clearport.graph import feeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, TensorSpec

Run = Callable[["Mapping[str, Array]"], "dict[str, Array]"]
"""The network: inputs by name to outputs by name, float32; a ``ClearportError`` for a size that it refuses."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
SIDE, LONGEST = 64, 256
"""The side of pictures that are tried first, and the longest that is tried."""

SEAM = 1e-5
"""Tiles may differ from the whole by this share of the output's range: where kernels add in another order."""


@dataclass(frozen=True)
class Sizes:
    """What sizes a network takes. ``multiple`` is that of both sides, ``least`` the shortest side that was taken."""

    multiple: int
    least: int
    tried: tuple[Size, ...]


class Candidate:
    """A network that is measured: its ends with ``H`` and ``W`` where they are free, and how it is run."""

    def __init__(self, name: str, inputs: Sequence[TensorSpec], run: Run) -> None:
        self.name, self.inputs, self.run = name, tuple(inputs), run

    def filled(self, size: Size) -> dict[str, Array]:
        """Noise for every input, in its range (0..1 where none is known), at a size."""
        return feeds.noise(self._ranged(), size)

    def drawn(self, size: Size) -> dict[str, Array]:
        """Something like a photo for every input."""
        return feeds.photo_like(self._ranged(), size)

    def _ranged(self) -> list[TensorSpec]:
        return [spec if spec.value_range else replace(spec, value_range=(0.0, 1.0)) for spec in self.inputs]

    def shapes(self, size: Size) -> dict[str, tuple[int, ...]] | None:
        """What it gives for a size; None where it refuses it."""
        try:
            return {name: array.shape for name, array in self.run(self.filled(size)).items()}
        except ClearportError:
            return None


def sizes(candidate: Candidate) -> Sizes:
    """Find the multiple and the least side of a network of any size, by trying.

    Raises:
        BadInput: it takes none of the sizes that are tried.
    """
    for multiple in MULTIPLES:
        for base in (SIDE, LONGEST):
            taken = [Size(base + multiple * 3, base + multiple)]
            others = [Size(base + 4 * multiple, base + 2 * multiple), Size(base + 9 * multiple, base + 6 * multiple)]
            if _regular(candidate, [*taken, *others]):
                return Sizes(multiple, _least(candidate, multiple), tuple(taken))
    raise BadInput(
        f"{candidate.name}: its inputs are declared dynamic, but it accepts no size from {SIDE} to {LONGEST} "
        "pixels in steps of up to 128: give a valid --size"
    )


def _regular(candidate: Candidate, tried: Sequence[Size]) -> bool:
    """Whether all sizes are taken, and each output grows with the picture by one factor."""
    found: dict[tuple[str, int], set[Fraction | int]] = {}
    for size in tried:
        shapes = candidate.shapes(size)
        if shapes is None:
            return False
        for name, shape in shapes.items():
            for axis, side in ((2, size.height), (3, size.width)) if len(shape) == 4 else ():
                found.setdefault((name, axis), set()).add(Fraction(shape[axis], side))
                found.setdefault((name, -axis), set()).add(shape[axis])
    return all(len(values) == 1 or len(found[name, -axis]) == 1 for (name, axis), values in found.items() if axis > 0)


def _least(candidate: Candidate, multiple: int) -> int:
    """The shortest side that is taken, of some."""
    for least in (8, 16, 24, 32, 48):
        side = -(-least // multiple) * multiple
        if side < SIDE and _regular(candidate, [Size(side, side)]):
            return side
    return -(-SIDE // multiple) * multiple


def scale_of(shape: Sequence[int], size: Size) -> Fraction:
    """Output size over input size.

    Raises:
        BadInput: height and width differ in it.
    """
    scales = {Fraction(shape[2], size.height), Fraction(shape[3], size.width)}
    if len(scales) > 1:
        raise BadInput(f"for a picture of {size} it gives {shape[2]}x{shape[3]}: height and width scale differently")
    return scales.pop()


def reach(candidate: Candidate, picture: str, output: str, size: Size, share: float = 0.0) -> int | None:
    """Input pixels on each side that an output pixel depends on, by changing some of them; None: all of the picture.

    What is not reached does not change at all; with ``share``, changes of less than that of the output do not count.
    """
    given = candidate.filled(size)
    before = candidate.run(given)[output]
    low, high = next(spec.value_range or (0.0, 1.0) for spec in candidate.inputs if spec.name == picture)
    farthest = 0
    for row, column in _places(size):
        for value in (low, high):
            changed = given[picture].copy()
            changed[..., row, column] = value
            after = candidate.run({**given, picture: changed})[output]
            farthest = max(farthest, _farthest(before, after, (row, column), size, share))
    edge = max(size.height, size.width) // 2 - 2
    return None if farthest >= edge else farthest


def _farthest(before: Array, after: Array, place: tuple[int, int], size: Size, share: float) -> int:
    """How far from the input pixel at ``place`` the farthest output pixel lies that changed, in input pixels."""
    moved = np.abs(after.astype(np.float64) - before).max(axis=tuple(range(before.ndim - 2)))
    found = np.nonzero(moved > share * np.abs(before).max())
    if not found[0].size:
        return 0
    scales = [out / own for out, own in zip(before.shape[-2:], (size.height, size.width), strict=True)]
    return int(
        max(np.abs(np.floor(where / scale) - at).max() for where, scale, at in zip(found, scales, place, strict=True))
    )


def seams(candidate: Candidate, output: str, halo: int, multiple: int, least: int) -> float:
    """How far what comes of tiles differs from what comes of a whole picture, as a share of the output's range.

    The tiles are the first, the middle and the last of three by three, each cut with ``halo`` pixels on each side that
    has a neighbor.
    """
    margin = -(-halo // multiple) * multiple
    kept = margin + -(-max(least, 8) // multiple) * multiple
    side = 3 * kept
    given = candidate.filled(Size(side, side))
    whole = candidate.run(given)[output].astype(np.float64)
    scale, worst = Fraction(whole.shape[2], side), 0.0
    for at in range(0, side, kept):
        span = max(0, at - margin), at, at + kept, min(side, at + kept + margin)
        made = candidate.run({name: _cut(array, (span[0], span[3]), side) for name, array in given.items()})[output]
        ours, theirs = _block(made, span, scale, own=True), _block(whole, span, scale, own=False)
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst / (float(np.ptp(whole)) or 1.0)


def _block(array: Array, span: tuple[int, int, int, int], scale: Fraction, *, own: bool) -> Array:
    """What is kept of a tile (``own``), or the same part of the whole."""
    start, begin, end, _ = span
    part = slice(int((begin - start * own) * scale), int((end - start * own) * scale))
    return array[..., part, part]


def _cut(array: Array, span: tuple[int, int], side: int) -> Array:
    """The part of an input that a tile sees; inputs of another size than the picture's are cut alike."""
    if array.ndim != 4:
        return array
    rows, columns = (slice(*(int(at * Fraction(n, side)) for at in span)) for n in array.shape[2:])
    return np.ascontiguousarray(array[:, :, rows, columns])


def _places(size: Size) -> list[tuple[int, int]]:
    middle = size.height // 2, size.width // 2
    return [middle, (middle[0] + 1, middle[1] + 1), (middle[0] + 2, middle[1] - 1)]


def check_repeatable(candidate: Candidate, size: Size) -> None:
    """Run it twice on the same.

    Raises:
        BadInput: it does not give the same.
    """
    given = candidate.filled(size)
    first, second = candidate.run(given), candidate.run(given)
    for name, array in first.items():
        if not np.array_equal(array, second[name], equal_nan=array.dtype.kind == "f"):
            raise BadInput(
                f"{candidate.name}: two runs on the same input give different values of {name!r}: it draws random "
                "numbers or keeps state, which no file can reproduce"
            )
