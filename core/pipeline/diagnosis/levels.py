"""The levels of a file's tensors, as the reference counts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph.feeds import stored_colors
from clearport.runtime import pixels
from clearport.runtime.steps import taps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Array, TensorSpec
    from clearport.runtime.steps.reference import Difference


@dataclass(frozen=True)
class Levels:
    """The levels of tensors by name, the outputs beside them, the share of the output's values that are those of the
    file as it is, why that is too little, if it is, and the steps that were compared.
    """

    levels: Mapping[str, Array]
    outputs: Mapping[str, Array]
    equal: float
    changed: tuple[str, ...]
    compared: Mapping[str, Difference] = field(default_factory=dict)


def real(tensor: Array, spec: TensorSpec, own: TensorSpec) -> Array:
    """The real values of an output in the reference's range and axes; a variant may have pictures in another."""
    if not spec.is_picture:
        return pixels.to_values(tensor, spec)
    levels = stored_colors(pixels.to_levels(tensor, spec), own.color)
    planes = levels.transpose(2, 0, 1)[None]
    return planes * np.float32(own.pixel_step) + np.float32(own.span[0])


def counted(values: Array, name: str, grids: taps.Taps) -> dict[str, Array]:
    """An output as levels; nothing where a variant gives it on another grid than the network's."""
    try:
        return {name: taps.counted(values, name, grids)}
    except ValueError:
        return {}
