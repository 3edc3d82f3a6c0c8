"""Valid picture sizes of a network, and sizes for trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.base import Size
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.pictures.images import MAX_PIXELS

if TYPE_CHECKING:
    from clearport.protocols import Described


def check_size(spec: Described, size: Size | None) -> None:
    """Check that the network accepts this input size (None: any).

    Raises:
        BadInput: it is too small, too large, or not a multiple; the message has the nearest valid size.
    """
    if size is None:
        return
    least = _least(spec)
    if size.height < least or size.width < least:
        raise BadInput(f"{spec.name}: size {size} is too small; each side must be at least {least} pixels")
    if size.height * size.width > MAX_PIXELS:
        raise BadInput(f"{spec.name}: size {size} is over {MAX_PIXELS} pixels; process larger pictures in tiles")
    step = step_of(spec)
    if size.height % step or size.width % step:
        near = Size(*(max(least, round(n / step) * step) for n in (size.height, size.width)))
        if near.height * near.width > MAX_PIXELS:
            near = Size(*(n // step * step for n in (size.height, size.width)))
        raise BadInput(f"{spec.name}: size {size}: both sides must be multiples of {step}, for example {near}")


def _least(spec: Described) -> int:
    return -(-spec.least_side // step_of(spec)) * step_of(spec)


def step_of(spec: Described) -> int:
    """Required divisor of sides: the network's own, and such that all inputs and outputs have integer sides."""
    known = [shapes.multiple(n) for each in (*spec.inputs, *spec.outputs) for n in each.shape]
    return math.lcm(spec.size_multiple, *(each[0].denominator for each in known if each is not None))


def example_size(spec: Described) -> Size:
    step = step_of(spec)
    return Size(-(-48 // step) * step, -(-64 // step) * step)


def second_size(spec: Described) -> Size:
    """Another size, whose sides are odd multiples of the required divisor."""
    step = step_of(spec)
    return Size((-(-34 // step) | 1) * step, (-(-52 // step) | 1) * step)
