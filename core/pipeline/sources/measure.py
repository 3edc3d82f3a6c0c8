"""Measurements of a network without a description: sizes, scale, receptive field, and determinism."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.errors import BadInput, ClearportError, NoSize
from clearport.graph import feeds, shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, TensorSpec

Run = Callable[["Mapping[str, Array]"], "dict[str, Array]"]
"""The network: inputs by name -> outputs by name, float32; raises ``ClearportError`` for a size that it rejects."""

REMEMBERED = 64 << 20
"""Maximum bytes of cached outputs."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
_AXES = 4
_MOST_GAINED = 16
"""Maximum output pixels beyond the scale, as with uncropped transposed convolutions; more mean another scale."""
SIDE, LONGEST = 64, 256
"""The first side of pictures to try, and the longest."""

SEAM = 1e-5
"""Tolerance of tiles to the whole picture, relative to the output's range: kernels may add in another order."""


@dataclass(frozen=True)
class Growth:
    """Sides of an output as ``scale`` times those of the picture, less ``crop`` output pixels.

    Unpadded windows remove ``crop`` pixels, both borders together; if there are more pixels, ``crop`` is negative.
    """

    scale: Fraction
    crop: int = 0

    def of(self, side: int) -> Fraction:
        """The output's side for a side of the picture."""
        return self.scale * side - self.crop


@dataclass(frozen=True)
class Sizes:
    """Valid sizes of a network. ``multiple`` is the divisor of both sides, ``least`` the shortest accepted side.

    ``grown``: how height and width of each 4-D output follow from the picture's; constant sides have a scale of 0.
    """

    multiple: int
    least: int
    tried: tuple[Size, ...]
    grown: Mapping[str, tuple[Growth, Growth]]


class Candidate:
    """A network under measurement: its inputs and outputs, with ``H`` and ``W`` for dynamic sides, and a function to
    run it.
    """

    def __init__(self, name: str, inputs: Sequence[TensorSpec], run: Run) -> None:
        self.name, self.inputs, self.run = name, tuple(inputs), run

    def filled(self, size: Size) -> dict[str, Array]:
        """Noise for every input, in its range (0..1 if unknown), at a size."""
        return feeds.noise(self._ranged(), size)

    def drawn(self, size: Size) -> dict[str, Array]:
        """A photo-like sample for every input."""
        return feeds.photo_like(self._ranged(), size)

    def _ranged(self) -> list[TensorSpec]:
        return [spec if spec.value_range else replace(spec, value_range=(0.0, 1.0)) for spec in self.inputs]

    def shapes(self, size: Size) -> dict[str, tuple[int, ...]] | None:
        """The outputs for a size; None if the network rejects it."""
        try:
            return {name: array.shape for name, array in self.run(self.filled(size)).items()}
        except ClearportError:
            return None


def remembered(run: Run) -> Run:
    """``run`` with a cache by input, since several measurements use the same photo.

    Arrays must not be modified. ``check_repeatable`` must not use it.
    """
    known: dict[bytes, dict[str, Array]] = {}
    left = REMEMBERED

    def once(given: Mapping[str, Array]) -> dict[str, Array]:
        nonlocal left
        key = _digest(given)
        if key in known:
            return dict(known[key])
        found = run(given)
        size = sum(array.nbytes for array in found.values())
        if size <= left:
            left -= size
            known[key] = found
        return dict(found)

    return once


def _digest(given: Mapping[str, Array]) -> bytes:
    told = hashlib.blake2b()
    for name, array in sorted(given.items()):
        told.update(f"{name} {array.dtype} {array.shape};".encode())
        told.update(np.ascontiguousarray(array).data)
    return told.digest()


def sizes(candidate: Candidate) -> Sizes:
    """Determine the size multiple and the least side of a network of dynamic size, by trial; of long sides, which cost
    attention gigabytes, only if it rejects short ones.

    Raises:
        NoSize: it accepts none of the tried sizes.
    """
    bases = (SIDE, LONGEST) if candidate.shapes(Size(SIDE, SIDE)) is None else (SIDE,)
    for multiple in MULTIPLES:
        for base in bases:
            taken = [Size(base + multiple * 3, base + multiple)]
            others = [Size(base + 4 * multiple, base + 2 * multiple), Size(base + 9 * multiple, base + 6 * multiple)]
            grown = _grown(candidate, [*taken, *others])
            if grown is not None:
                return Sizes(multiple, _least(candidate, multiple, grown), tuple(taken), grown)
    raise NoSize(
        f"{candidate.name}: its inputs are declared dynamic, but it accepts no size from {SIDE} to {LONGEST} "
        "pixels in steps of up to 128: give --size HEIGHTxWIDTH if it is for one size"
    )


def _grown(candidate: Candidate, tried: Sequence[Size]) -> dict[str, tuple[Growth, Growth]] | None:
    """The dependence of output sides on the picture's; None if a size is rejected, or it is not linear."""
    found: dict[str, list[tuple[Size, tuple[int, ...]]]] = {}
    for size in tried:
        shapes = candidate.shapes(size)
        if shapes is None:
            return None
        for name, shape in shapes.items():
            found.setdefault(name, []).append((size, shape))
    grown = {}
    for name, given in found.items():
        if len(given[0][1]) == _AXES:
            height = _line([(size.height, shape[2]) for size, shape in given])
            width = _line([(size.width, shape[3]) for size, shape in given])
            if height is None or width is None:
                return None
            grown[name] = height, width
    return grown


def _line(points: Sequence[tuple[int, int]]) -> Growth | None:
    """The line through output sides over input sides, preferably through the origin."""
    (first, made), (last, end) = points[0], points[-1]
    ratio = Fraction(made, first)
    if all(ratio * side == out for side, out in points):
        return Growth(ratio)
    slope = Fraction(end - made, last - first)
    less = slope * first - made
    if less.denominator != 1:
        return None
    line = Growth(slope, int(less))
    return line if all(line.of(side) == out for side, out in points) else None


def _least(candidate: Candidate, multiple: int, grown: Mapping[str, tuple[Growth, Growth]]) -> int:
    """The shortest accepted side, of some."""
    for least in (8, 16, 24, 32, 48):
        side = -(-least // multiple) * multiple
        if side < SIDE and _follows(candidate.shapes(Size(side, side)), side, grown):
            return side
    return -(-SIDE // multiple) * multiple


def _follows(
    shapes: Mapping[str, tuple[int, ...]] | None, side: int, grown: Mapping[str, tuple[Growth, Growth]]
) -> bool:
    """Whether the outputs of a square picture have the expected sides."""
    return shapes is not None and all(
        [growth.of(side) for growth in grown[name]] == list(shape[2:])
        for name, shape in shapes.items()
        if len(shape) == _AXES
    )


def growth_at(shape: Sequence[int], size: Size, steps: tuple[Fraction, Fraction]) -> tuple[Growth, Growth]:
    """The dependence of an output's sides on the picture's, for a network of fixed size.

    Args:
        shape: shape of the output.
        size: size of the picture.
        steps: input pixels per output pixel along height and width, from the operators.
    """
    sides = list(zip(shape[2:], (size.height, size.width), steps, strict=True))
    plain = [Growth(Fraction(made, side)) for made, side, _ in sides]
    told = [Growth(1 / step, int(1 / step * side - made)) for made, side, step in sides]
    whole = all(growth.of(side) == made for growth, (made, side, _) in zip(told, sides, strict=True))
    usual = plain[0] == plain[1] and 1 in {plain[0].scale.numerator, plain[0].scale.denominator}
    if whole and not usual and told[0] == told[1] and told[0].crop >= -_MOST_GAINED:
        return told[0], told[1]
    return plain[0], plain[1]


def reach(
    candidate: Candidate, picture: str, output: str, size: Size, share: float = 0.0, growth: Growth | None = None
) -> int | None:
    """Input pixels on each side that an output pixel depends on, by changing some of them; None: all of the picture.

    Without ``share``, any change counts; with it, only changes above that share of the output. ``growth`` maps output
    pixels to positions in the picture; without it, the output covers the picture.
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
            farthest = max(farthest, _farthest(before, after, (row, column), size, share, growth))
    edge = max(size.height, size.width) // 2 - 2
    return None if farthest >= edge else farthest


def _farthest(
    before: Array, after: Array, place: tuple[int, int], size: Size, share: float, growth: Growth | None
) -> int:
    """Distance in input pixels from the input pixel at ``place`` to the farthest changed output pixel."""
    moved = np.abs(after.astype(np.float64) - before).max(axis=tuple(range(before.ndim - 2)))
    found = np.nonzero(moved > share * np.abs(before).max())
    if not found[0].size:
        return 0
    scales = [out / own for out, own in zip(before.shape[-2:], (size.height, size.width), strict=True)]
    lead = 0 if growth is None else growth.crop // 2
    scales = scales if growth is None else [float(growth.scale)] * 2
    return int(
        max(
            np.abs(np.floor((where + lead) / scale) - at).max()
            for where, scale, at in zip(found, scales, place, strict=True)
        )
    )


def seams(
    candidate: Candidate, output: str, halo: int, multiple: int, least: int, growth: Growth | None = None
) -> float:
    """Difference between tiled and whole outputs, as a share of the output's range.

    The tiles are the first, the middle and the last of 3x3, each with ``halo`` pixels on each side that has a neighbor.
    """
    margin = -(-halo // multiple) * multiple
    kept = margin + -(-max(least, 8) // multiple) * multiple
    side = 3 * kept
    given = candidate.filled(Size(side, side))
    whole = candidate.run(given)[output].astype(np.float64)
    law, worst = growth or Growth(Fraction(whole.shape[2], side)), 0.0
    for at in range(0, side, kept):
        span = max(0, at - margin), at, at + kept, min(side, at + kept + margin)
        tile = {spec.name: _cut(spec, given[spec.name], (span[0], span[3]), side) for spec in candidate.inputs}
        made = candidate.run(tile)[output]
        ours, theirs = _block(made, span, law, own=True), _block(whole, span, law, own=False)
        if ours.shape != theirs.shape:
            return math.inf
        worst = max(worst, float(np.abs(ours - theirs).max(initial=0.0)))
    return worst / (float(np.ptp(whole)) or 1.0)


def _block(array: Array, span: tuple[int, int, int, int], growth: Growth, *, own: bool) -> Array:
    """The kept part of a tile (``own``), or the same part of the whole."""
    start, begin, end, _ = span
    lead = growth.crop // 2
    low, high = (max(0, int((at - start * own) * growth.scale) - lead) for at in (begin, end))
    return array[..., low:high, low:high]


def _cut(spec: TensorSpec, array: Array, span: tuple[int, int], side: int) -> Array:
    """The part of an input for a tile; sides in a fixed ratio to the picture's are cropped accordingly, others not."""
    parts = [
        slice(None) if shapes.follows(spec, axis) is None else slice(*(int(at * Fraction(n, side)) for at in span))
        for axis, n in enumerate(array.shape)
    ]
    return np.ascontiguousarray(array[tuple(parts)])


def _places(size: Size) -> list[tuple[int, int]]:
    middle = size.height // 2, size.width // 2
    return [middle, (middle[0] + 1, middle[1] + 1), (middle[0] + 2, middle[1] - 1)]


def check_repeatable(candidate: Candidate, size: Size, first: Mapping[str, Array]) -> None:
    """Rerun the network on the inputs of ``first``, and compare.

    Raises:
        BadInput: the outputs differ.
    """
    second = candidate.run(candidate.filled(size))
    for name, array in first.items():
        if not np.array_equal(array, second[name], equal_nan=array.dtype.kind == "f"):
            raise BadInput(
                f"{candidate.name}: two runs on the same input have different values of {name!r}: it draws random "
                f"numbers or keeps state, which no file can reproduce"
            )
