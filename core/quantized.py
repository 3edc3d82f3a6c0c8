"""Scale tables and quantized graphs."""

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
    """Tensor name -> QParams for every quantized activation, weight and bias; valid for every target.

    A tensor without an entry is float, and an operator computes in int8 if and only if its output has one.
    ``calibration`` records, for the bundle, the calibrator, the images with their hashes, and the float nodes:
    ``islands`` (node -> operator) have no int8 form; ``tail`` and ``float_layers`` (nodes) are float by choice.
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

    Tensors in ``table`` are int8, and int8 operators read and write only such: an Identity node marks where a float
    tensor becomes int8, or an int8 tensor is requantized. Float operators read int8 tensors dequantized. The graph's
    input and output are always int8, with the exact scale of a pixel. A Relu or Clip
    that is an int8 operator's only consumer is removed; the output's int8 range saturates instead. All others stay.
    Channels may be equalized and leaky-ReLU slopes adjusted to fixed point, so constants differ from the float graph's
    by more than rounding: compare outputs, never constants. ``graph`` keeps the tensor names of the table.
    """

    graph: Graph
    table: ScaleTable


@dataclass(frozen=True)
class TargetGraph:
    """A target's input: one graph in one precision.

    Attributes:
        graph: the graph of the file, whose inputs and outputs are the file's.
        table: quantization parameters; None: all tensors are float. For ``int8-weights`` it holds weights only, already
            rounded to their grids, and all arithmetic is float.
        precision: the file's precision. For ``int8a16``, the table's activations are uint16.
    """

    graph: Graph
    table: ScaleTable | None
    precision: Precision
