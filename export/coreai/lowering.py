"""The state of one Core AI program under construction: what rules read from and write to.

A rule gets the ``Lowering`` and the node, and returns its output value. It requests operands, constants and weights by
the ONNX node, independent of the precision: values have the compute type, int8 weights are integers behind a
``dequantize``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Precision
from clearport.errors import UnsupportedOperator
from clearport.export.coreai import beta
from clearport.export.coreai.tools import authoring
from clearport.export.typed_lowering import TypedLowering, in_steps
from clearport.graph.nodes import name_of, need
from clearport.quantized import QParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from clearport.base import Array

    Side = int | tuple[int, int, int]

COMPUTE: dict[Precision, type[np.floating[Any]]] = {"fp32": np.float32, "fp16": np.float16, "int8": np.float32}
"""Compute type by precision: int8 in float32 between quantization steps, as for Core ML, since float16 would
move values to other int8 levels."""


class Lowering(TypedLowering):
    """One Core AI program."""

    TARGET = "coreai"
    COMPUTE = COMPUTE

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ops = authoring()
        self._casts: dict[tuple[str, type], Any] = {}

    def var(self, node: ir.Node, index: int) -> Any:
        """The value of input ``index`` of ``node``; constants are converted to the compute type."""
        name = name_of(need(node, index))
        return self.cast(name) if name in self.values else beta.constant(self.array(node, index))

    def cast(self, name: str) -> Any:
        """A computed value, in the compute type; integers, which are sizes, stay integers."""
        found = self.values[name]
        if not _is_float(found) or dtype_of(found) == np.dtype(self.compute):
            return found
        key = (name, self.compute)
        if key not in self._casts:
            self._casts[key] = self.ops.cast(found, self.compute)
        return self._casts[key]

    def weight(self, node: ir.Node) -> Any:
        """The weights (input 1) of ``node``: as int8 and a scale for each output channel where the table has them.

        Raises:
            UnsupportedOperator: they are computed, or their numbers do not fit.
        """
        held, params = self.held_weight(node)
        return beta.constant(self.fit(node, held)) if params is None else self._packed(held, params)

    def _packed(self, weights: Array, params: QParams) -> Any:
        scale = np.asarray(params.scale)
        steps = np.rint(in_steps(weights, params))
        stored = beta.constant(np.clip(steps, -128, 127).astype(np.int8))
        if scale.size == 1:
            return self.dequantize(stored, params.scale[0], np.int8(params.zero_point))
        zeros = np.full(scale.shape, params.zero_point, np.int8)
        factors, nothing = (beta.constant(a.astype(self.compute)) for a in (scale, np.zeros(scale.shape)))
        return self.ops.dequantize(stored, factors, beta.constant(zeros), nothing, np.int32(params.axis or 0))

    def quantize(self, value: Any, scale: float, zero_point: np.generic) -> Any:
        """``value`` on an integer grid, stored in the type of ``zero_point``."""
        return self.ops.quantize(value, *self._grid(value, scale, zero_point))

    def dequantize(self, value: Any, scale: float, zero_point: np.generic) -> Any:
        """The real values of integers."""
        return self.ops.dequantize(value, *self._grid(value, scale, zero_point))

    def _grid(self, value: Any, scale: float, zero_point: np.generic) -> tuple[Any, ...]:
        axes = np.arange(len(value.type.shape), dtype=np.int32)  # all of them: one scale, of rank 0
        return self.compute(scale), zero_point, self.compute(0), axes

    def requantize(self, value: Any, params: QParams) -> Any:
        """``value`` rounded to an int8 grid, and back."""
        grid = params.scale[0], np.int8(params.zero_point)
        return self.dequantize(self.quantize(value, *grid), *grid)

    def shape_vector(self, x: Any, sides: Sequence[Side]) -> Any:
        """A shape from constants and from triples (axis, multiplier, divisor): side ``axis`` of ``x``, multiplied,
        divided.
        """
        if all(isinstance(side, int) for side in sides):
            return np.array(sides, np.int32)
        ops = self.ops
        whole = ops.cast(ops.get_shape(x), np.int32)
        parts: list[Any] = []
        for side in sides:
            if isinstance(side, int):
                parts.append(np.array([side], np.int32))
                continue
            axis, times, over = side
            part = ops.slice_(whole, *(np.array([n], np.int32) for n in (axis, axis + 1, 1)))
            part = ops.broadcasting_mul(part, np.array([times], np.int32)) if times != 1 else part
            parts.append(ops.floor_divide(part, np.array([over], np.int32)) if over != 1 else part)
        return ops.concat(np.int32(0), parts)


def refined(low: Lowering, y: Any, sides: Sequence[Side | None]) -> Any:
    """``y`` with its known sides made static, which a computed shape hides from later operators."""
    known = tuple(n if isinstance(n, int) else None for n in sides)
    if sides_of(y) == known:
        return y
    free = tuple(-1 if n is None else n for n in known)
    return low.ops.cast(y, low.ops.TensorType(free, dtype_of(y)))


def sides_of(x: Any) -> tuple[int | None, ...]:
    """The shape of a program's value; None for dynamic sides."""
    return tuple(n if n >= 0 else None for n in x.type.shape)


def dtype_of(x: Any) -> np.dtype[Any]:
    """The dtype of a program's value."""
    words = {"f": "float", "si": "int", "ui": "uint", "i": "int"}
    word = str(x.type.dtype)
    if word == "i1":
        return np.dtype(bool)
    kind = word.rstrip("0123456789")
    return np.dtype(words[kind] + word[len(kind) :])


def _is_float(x: Any) -> bool:
    return dtype_of(x).kind == "f"


def refuse(node: ir.Node, why: str) -> UnsupportedOperator:
    """The error for a ``node`` that Core AI does not support."""
    return UnsupportedOperator("coreai", node.op_type, node.name or "", why)
