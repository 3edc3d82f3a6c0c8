"""Description of a model file of any format: inputs, outputs, operators, sizes, MACs and dtypes. Nothing is run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Layout

_PICTURE_CHANNELS = {1: "Y", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Described:
    """A file.

    Attributes:
        path: its path.
        target: the clearport target of its format.
        bytes: total size of its files.
        inputs, outputs: 4-D tensors with 1, 3 or 4 channels count as pictures; ``value_range`` is None if the file does
            not state it.
        operators: operator -> count.
        weights: dtype of the constants -> bytes.
        macs: multiply-accumulates of one inference; None if sizes are unknown.
        remarks: accelerator support, and parts that could not be read.
    """

    path: Path
    target: str
    bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    weights: Mapping[str, int]
    macs: int | None
    remarks: tuple[str, ...] = ()


@dataclass
class Tally:
    """Running counts of operators, constants and MACs; ``macs`` is None once a size is unknown."""

    operators: Counter[str] = field(default_factory=Counter)
    weights: Counter[str] = field(default_factory=Counter)
    macs: int | None = 0

    def add(self, weight: tuple[int | None, ...], axis: int, result: tuple[int | str | None, ...]) -> None:
        """Add a layer with, per element of ``result``, one multiply-accumulate per weight, except along ``axis``."""
        each = [n for i, n in enumerate(weight) if i != axis]
        sides = [n for n in (*each, *result) if isinstance(n, int) and n > 0]
        told = len(sides) == len(each) + len(result)
        self.macs = self.macs + math.prod(sides) if told and self.macs is not None else None


def end(
    name: str,
    shape: tuple[int | str, ...],
    dtype: str,
    scale: float | None = None,
    zero_point: int | None = None,
) -> TensorSpec:
    """An input or output, as far as the file describes it."""
    for layout, axis in (("NCHW", 1), ("NHWC", 3)):
        if len(shape) == 4 and shape[axis] in _PICTURE_CHANNELS:
            return _picture(name, shape, dtype, (scale, zero_point), layout, _PICTURE_CHANNELS[shape[axis]])  # type: ignore[arg-type, index]
    return TensorSpec(name, shape, dtype, value_range=None, scale=scale, zero_point=zero_point, kind="map")


def _picture(
    name: str,
    shape: tuple[int | str, ...],
    dtype: str,
    quant: tuple[float | None, int | None],
    layout: Layout,
    color: str,
) -> TensorSpec:
    scale, zero_point = quant
    span: tuple[float, float] | None = None
    if np.dtype(dtype).kind in "iu":
        scale, zero_point = (1.0, 0) if scale is None or zero_point is None else (scale, zero_point)
        ends = np.iinfo(dtype)
        span = ((int(ends.min) - zero_point) * scale, (int(ends.max) - zero_point) * scale)
    return TensorSpec(name, shape, dtype, layout, color, span, scale, zero_point)
