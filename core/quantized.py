"""What a graph is quantized by, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from clearport.base import Graph, Precision


@dataclass(frozen=True)
class QParams:
    """How one tensor is quantized: real = (q - zero_point) * scale.

    ``scale`` has one entry per tensor, or one per index of ``axis``. ``zero_point`` is 0 for weights (int8) and
    biases (int32), in -128..127 for activations (int8; the uint8 twin is zero_point + 128), and in 0..65535 for
    activations of 16 bits (uint16).
    """

    scale: tuple[float, ...]
    zero_point: int
    dtype: Literal["int8", "int32", "uint16"] = "int8"
    axis: int | None = None

    def __post_init__(self) -> None:
        if not self.scale or any(not (s > 0 and math.isfinite(s)) for s in self.scale):
            raise ValueError(f"scales must be finite and positive, got {self.scale[:4]}")
        if len(self.scale) > 1 and self.axis is None:
            raise ValueError("per-channel scales need an axis")
        low, high, kind = (0, 65535, "uint16") if self.dtype == "uint16" else (-128, 127, "int8")
        if not low <= self.zero_point <= high:
            raise ValueError(f"zero point {self.zero_point} is outside {kind}")


@dataclass(frozen=True)
class ScaleTable:
    """Tensor name -> QParams for every activation, weight and bias that is quantized; legal for every target.

    A value without an entry is float, and an operator computes in int8 exactly where its output has one.
    ``calibration`` says how it came to be, for the bundle: calibrator, images and hashes, and what stays in float:
    ``islands`` (node -> operator) because it must, ``tail`` and ``float_layers`` (nodes) because it pays.
    """

    entries: Mapping[str, QParams]
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, tensor: str) -> QParams:
        return self.entries[tensor]

    def __contains__(self, tensor: object) -> bool:
        return tensor in self.entries


@dataclass(frozen=True)
class QuantizedGraph:
    """A float graph whose weights already lie on their int8 grid, and its scale table.

    What ``table`` has is int8, and an int8 operator reads and writes nothing else: an Identity node stands where a
    float value becomes int8, or an int8 value gets another scale. A float operator reads int8 values as they are,
    dequantized. The graph's input and output are int8 always, with the exact scale of a pixel. A Relu or Clip
    that is an int8 operator's only consumer is removed; the output's int8 range saturates instead. The others stay.
    Channels may be equalized, and slopes fit fixed point, so constants differ from the float graph's by more than
    rounding: compare outputs, never constants. ``graph`` keeps the tensor names that the table uses.
    """

    graph: Graph
    table: ScaleTable


@dataclass(frozen=True)
class TargetGraph:
    """What a target writes: one graph in one precision.

    Attributes:
        graph: the graph of the file, whose inputs and outputs are the file's.
        table: how its values are quantized; None: all are float. For ``int8-weights`` it holds weights alone, which
            lie on their grids, and everything that is computed is float.
        precision: of the file. For ``int8a16``, activations of the table are uint16.
    """

    graph: Graph
    table: ScaleTable | None
    precision: Precision
