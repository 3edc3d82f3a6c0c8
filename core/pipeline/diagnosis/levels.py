"""The levels of a file's tensors, in the reference's quantization."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph.feeds import stored_colors
from clearport.runtime import pixels
from clearport.runtime.steps import taps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clearport.base import Array, TensorSpec
    from clearport.runtime.steps.reference import Difference


@dataclass(frozen=True)
class Levels:
    """Levels of tensors by name, the outputs of the same run, the share of output values that equal those of the
    unmodified file, the reason if that is too little, and the compared steps.
    """

    levels: Mapping[str, Array]
    outputs: Mapping[str, Array]
    equal: float
    changed: tuple[str, ...]
    compared: Mapping[str, Difference] = field(default_factory=dict)


def real(tensor: Array, spec: TensorSpec, own: TensorSpec) -> Array:
    """The real values of an output, in the reference's range and axis order, from which a variant's may differ."""
    if not spec.is_picture:
        return pixels.to_values(tensor, spec)
    levels = stored_colors(pixels.to_levels(tensor, spec), own.color)
    planes = levels.transpose(2, 0, 1)[None]
    return planes * np.float32(own.pixel_step) + np.float32(own.span[0])


def counted(values: Array, name: str, grids: taps.Taps) -> dict[str, Array]:
    """An output as levels; empty if a variant's grid differs from the network's."""
    try:
        return {name: taps.counted(values, name, grids)}
    except ValueError:
        return {}


def first_that_changes(names: Sequence[str], changes: Callable[[Sequence[str]], bool]) -> str:
    """The last of the shortest first part of ``names`` with which something changes, by bisection.

    All of them do change it, and none does not.
    """
    without, enough = 0, len(names)
    while enough - without > 1:
        middle = (without + enough) // 2
        without, enough = (without, middle) if changes(names[:middle]) else (middle, enough)
    return names[enough - 1]
