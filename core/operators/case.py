"""Test cases of operators: small graphs, which the tests run on every target.

A case is data: its arrays are created lazily.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from clearport.base import Array

Node = tuple[str, str, str, Mapping[str, Any]]
"""Operator, inputs (names separated by spaces; empty for an omitted one), output and attributes."""

SEED = 7


@dataclass(frozen=True)
class Numbers:
    """A constant: ``values``, or random values that keep sums on the order of 1.

    Random values are multiplied by ``gain`` and added to ``offset``; ``positive``: absolute values.
    """

    shape: tuple[int, ...]
    dtype: Literal["float32", "int64"] = "float32"
    values: tuple[float, ...] | None = None
    seed: int = SEED
    gain: float = 1.0
    offset: float = 0.0
    positive: bool = False

    def array(self) -> Array:
        """The numbers."""
        import numpy as np

        if self.values is not None:
            return np.array(self.values, self.dtype).reshape(self.shape)
        drawn = np.random.default_rng(self.seed).standard_normal(self.shape)
        drawn = (drawn / max(math.sqrt(math.prod(self.shape[1:])), 1)).astype(np.float32)
        found: Array = self.offset + self.gain * (np.abs(drawn) if self.positive else drawn)
        return found.astype(self.dtype)


@dataclass(frozen=True)
class TfliteFile:
    """Expected contents of a case's TFLite file.

    Attributes:
        ops, int8_ops: its operators in fp32, and in int8.
        outside, outside_int8: operators that XNNPACK leaves to TFLite's own kernels, in fp32 and in int8.
        nnapi: the first API level whose NNAPI supports the whole int8 file (``float_only``: the fp32 file); None: none.
        min_exact: minimum share (0..1) of the int8 output's values that equal the QDQ model's.
        float_only: whether the case is about operators that compute in float; ``int8_ops`` is then not checked.
    """

    ops: tuple[str, ...]
    int8_ops: tuple[str, ...]
    outside: tuple[str, ...]
    outside_int8: tuple[str, ...]
    nnapi: int | None
    min_exact: float
    float_only: bool


def wrote(
    ops: str,
    int8: str | None = None,
    outside: str = "",
    outside_int8: str | None = None,
    *,
    nnapi: int | None = 29,
    min_exact: float = 0.98,
    float_only: bool = False,
) -> TfliteFile:
    """A ``TfliteFile`` from operator names separated by spaces; ``int8_ops`` defaults to the same."""
    same = ops if int8 is None else int8
    left = outside if outside_int8 is None else outside_int8
    words = [tuple(text.split()) for text in (ops, same, outside, left)]
    return TfliteFile(words[0], words[1], words[2], words[3], nnapi, min_exact, float_only)


@dataclass(frozen=True)
class Case:
    """A graph from ``image`` (1, 3, height, width) to ``restored``.

    Attributes:
        name: a few words.
        nodes: in order; the last one writes ``restored``.
        constants: name -> array.
        sides: height and width of the image.
        tflite: expected contents of its TFLite file, if checked.
        refused: target -> message (regular expression) of a target that refuses the case.
        refused_int8: likewise, for targets that refuse it in int8 only.
        one_size: targets that need a fixed size for it.
        inferred: whether ONNX's shape inference agrees with its runtime, as passes require.
    """

    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Numbers] = field(default_factory=dict)
    sides: tuple[int, int] = (10, 12)
    tflite: TfliteFile | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    refused_int8: Mapping[str, str] = field(default_factory=dict)
    one_size: tuple[str, ...] = ()
    inferred: bool = True


def one(op: str, inputs: str = "x", **attributes: Any) -> Node:
    """The last node."""
    return op, inputs, "restored", attributes


def weight(*shape: int, seed: int = SEED, gain: float = 1.0, offset: float = 0.0, positive: bool = False) -> Numbers:
    """Random weights."""
    return Numbers(shape, seed=seed, gain=gain, offset=offset, positive=positive)


def f32(*numbers: float) -> Numbers:
    """A list of float32."""
    return Numbers((len(numbers),), values=numbers)


def number(value: float) -> Numbers:
    """One float32 without axes."""
    return Numbers((), values=(value,))


def i64(*numbers: int) -> Numbers:
    """A list of int64."""
    return Numbers((len(numbers),), "int64", numbers)


def on_image(name: str, *nodes: Node, constants: Mapping[str, Numbers] | None = None, **more: Any) -> Case:
    """Nodes that read ``image``."""
    return Case(name, nodes, constants or {}, **more)


def conv(name: str, shape: tuple[int, ...], ops: str = "CONV_2D", **attributes: Any) -> Case:
    """One convolution of the image with a kernel of ``shape``, and the operators of its TFLite file."""
    constants = {"w": weight(*shape), "b": weight(shape[0], seed=8)}
    return Case(name, (one("Conv", "image w b", **attributes),), constants, tflite=wrote(ops))


def after_conv(
    name: str, *nodes: Node, channels: int = 8, constants: Mapping[str, Numbers] | None = None, **more: Any
) -> Case:
    """Nodes after a convolution with output ``x`` (and a second one with output ``y``)."""
    first: list[Node] = [("Conv", "image wx bx", "x", {"pads": [1, 1, 1, 1]})]
    made = {"wx": weight(channels, 3, 3, 3), "bx": weight(channels, seed=9)}
    if any("y" in inputs.split() for _, inputs, _, _ in nodes):
        first.append(("Conv", "image wy by", "y", {"pads": [1, 1, 1, 1]}))
        made |= {"wy": weight(channels, 3, 3, 3, seed=10), "by": weight(channels, seed=11)}
    return Case(name, (*first, *nodes), made | dict(constants or {}), **more)
