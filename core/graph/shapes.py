"""Shapes that depend on the picture size: symbols such as ``H``, ``2*W``, ``H/8`` and ``2*H-28``, and the contract of a
network at a size.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from clearport.base import Size, TensorSpec
from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Scale
    from clearport.protocols import Described

    Shape = tuple[int | str, ...]

_SYMBOL = re.compile(r"(?:(\d+)\*)?([HW])(?:/(\d+))?([+-]\d+)?")
_BATCHED = frozenset({"picture", "map"})


def lead(specs: Sequence[TensorSpec]) -> TensorSpec:
    """The tensor that determines a network's size: the first picture, or else the first tensor."""
    return next((spec for spec in specs if spec.is_picture), specs[0])


def size_of(spec: TensorSpec) -> Size | None:
    """Height and width of a 4-D tensor; None if they are dynamic, or for other ranks."""
    if len(spec.shape) != 4:
        return None
    height, width = spec.shape[1:3] if spec.layout == "NHWC" else spec.shape[2:]
    return Size(height, width) if isinstance(height, int) and isinstance(width, int) else None


def multiple(side: int | str) -> tuple[Fraction, str] | None:
    """The ratio of a dynamic side to the picture's height (``H``) or width (``W``); None for other symbols."""
    match = _SYMBOL.fullmatch(side) if isinstance(side, str) else None
    return None if match is None else (Fraction(int(match[1] or 1), int(match[3] or 1)), match[2])


def crop(side: int | str) -> int:
    """How many pixels a dynamic side lacks beside its ratio to the picture's: 28 for ``2*H-28``."""
    match = _SYMBOL.fullmatch(side) if isinstance(side, str) else None
    return -int((match and match[4]) or 0)


def symbol(times: Fraction, of: str, less: int = 0) -> str:
    """The symbol of a side with this ratio to the picture's height (``H``) or width (``W``), less some pixels."""
    above = f"{times.numerator}*" if times.numerator != 1 else ""
    below = f"/{times.denominator}" if times.denominator != 1 else ""
    return f"{above}{of}{below}" + (f"{-less:+d}" if less else "")


def shape_at(spec: TensorSpec, size: Size) -> tuple[int, ...]:
    """The shape of a tensor for pictures of ``size``.

    Raises:
        BadInput: a side's symbol does not define its size, or it is not an integer there.
    """
    return tuple(_side(spec, axis, size) for axis in range(len(spec.shape)))


def follows(spec: TensorSpec, axis: int) -> tuple[Fraction, str] | None:
    """The ratio of a dynamic side to the picture's height or width; other symbols count by their axis."""
    n = spec.shape[axis]
    places = {1: "H", 2: "W"} if spec.layout == "NHWC" else {2: "H", 3: "W"}
    if isinstance(n, int):
        return None
    known = multiple(n)
    return known if known or len(spec.shape) != 4 or axis not in places else (Fraction(1), places[axis])


def _side(spec: TensorSpec, axis: int, size: Size) -> int:
    n = spec.shape[axis]
    if isinstance(n, int):
        return n
    known = follows(spec, axis)
    if known is None:
        raise BadInput(f"{spec.name}: its side {n!r} is not a size; expected H, W, 2*H, W/8, H-14 and the like")
    times, of = known
    side = times * (size.height if of == "H" else size.width) - crop(n)
    if side.denominator != 1:
        raise BadInput(f"{spec.name}: for pictures of {size} its side {n} is not an integer: {float(side):g}")
    return side.numerator


def at(specs: Sequence[TensorSpec], size: Size | None) -> tuple[TensorSpec, ...]:
    """The same tensors for pictures of one size; unchanged for None."""
    return tuple(specs) if size is None else tuple(replace(spec, shape=shape_at(spec, size)) for spec in specs)


def freed(specs: Sequence[TensorSpec], size: Size) -> tuple[TensorSpec, ...]:
    """Tensors of a fixed-size network with dynamic sides, as ratios to the picture's."""
    return tuple(replace(spec, shape=_freed(spec, size)) for spec in specs)


def _freed(spec: TensorSpec, size: Size) -> Shape:
    """Sides of 1 stay, as after global pooling."""
    if size_of(spec) is None or len(spec.shape) != 4:
        return spec.shape
    places = {"NHWC": (1, 2), "NCHW": (2, 3)}[spec.layout]
    shape = list(spec.shape)
    for place, whole, of in zip(places, (size.height, size.width), ("H", "W"), strict=True):
        n = shape[place]
        if isinstance(n, int) and n > 1:
            shape[place] = symbol(Fraction(n, whole), of)
    return tuple(shape)


def contract(spec: Described, scale: Scale) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a network at any size: its own, or one RGB picture each.

    Raises:
        BadInput: an input has batch size above 1, which no artifact supports.
    """
    height, width = (symbol(Fraction(scale), of) for of in ("H", "W"))
    plain = (
        (TensorSpec("image", (1, 3, "H", "W"), value_range=spec.value_range),),
        (TensorSpec("restored", (1, 3, height, width), value_range=spec.value_range),),
    )
    inputs, outputs = spec.inputs or plain[0], spec.outputs or plain[1]
    for each in (*inputs, *outputs):
        _check_batch(spec.name, each)
    return inputs, outputs


def _check_batch(network: str, spec: TensorSpec) -> None:
    if spec.kind in _BATCHED and spec.shape[:1] != (1,):
        raise BadInput(
            f"{network}: {spec.name} is a batch of {spec.shape[0] if spec.shape else 0} ({spec.kind}s of shape "
            f"{spec.shape}): artifacts have batch size 1, as phones process one picture at a time; export with batch 1"
        )
