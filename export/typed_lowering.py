"""Shared by Core ML's and Core AI's writers: a program whose constants have the compute type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from clearport.base import Precision
from clearport.errors import UnsupportedOperator
from clearport.graph.nodes import constant, name_of, need
from clearport.quantized import QParams, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from clearport.base import Array

    Compute = type[np.floating[Any]]


@dataclass
class TypedLowering:
    """One program: its precision, its scale table (int8) and the program's value of each ONNX value so far.

    ``fallback`` names the values that are computed in float32 in a float16 program; ``compute`` is the compute type
    of the current node. A subclass defines its name and the compute type of each precision.
    """

    TARGET: ClassVar[str]
    COMPUTE: ClassVar[Mapping[Precision, Compute]]

    precision: Precision
    table: ScaleTable | None = None
    values: dict[str, Any] = field(default_factory=dict)
    fallback: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.compute = self.COMPUTE[self.precision]

    def begin(self, node: ir.Node | None) -> None:
        """Switch to the compute type of ``node``; None: the program's."""
        narrow = node is None or name_of(node.outputs[0]) not in self.fallback
        self.compute = self.COMPUTE[self.precision] if narrow else np.float32

    def quant(self, node: ir.Node) -> QParams | None:
        """The int8 grid of ``node``'s output; None if it is float."""
        return self._entry(node.outputs[0])

    def refuse(self, node: ir.Node, why: str) -> UnsupportedOperator:
        """The error for a ``node`` that the target does not support."""
        return UnsupportedOperator(self.TARGET, node.op_type, node.name or "", why)

    def array(self, node: ir.Node, index: int) -> Array:
        """The constant input ``index`` of ``node``, in the compute type.

        Raises:
            UnsupportedOperator: it is not constant, or its numbers do not fit.
        """
        held = constant(need(node, index))
        if held is None:
            raise self.refuse(node, f"its input {index} must be a constant")
        return self.fit(node, held)

    def fit(self, node: ir.Node, number: Array | float) -> Array:
        """``number`` in the compute type; integers, which are sizes, as int32; Booleans unchanged.

        Raises:
            UnsupportedOperator: a finite number is too large for it.
        """
        given = np.asarray(number)
        if given.dtype.kind == "i":
            return given.astype(np.int32)
        if given.dtype.kind == "b":
            return given
        with np.errstate(over="ignore"):
            fitted = given.astype(self.compute)
        if not np.isfinite(fitted).all():
            raise self.refuse(node, f"a constant does not fit {np.dtype(self.compute).name}")
        return fitted

    def held_weight(self, node: ir.Node) -> tuple[Array, QParams | None]:
        """The weights (input 1) of ``node``, and their grid if the table has one.

        Raises:
            UnsupportedOperator: they are computed.
        """
        value = need(node, 1)
        held = constant(value)
        if held is None:
            raise self.refuse(node, "its weights must be constants")
        return held, self._entry(value)

    def _entry(self, value: ir.Value) -> QParams | None:
        name = name_of(value)
        return self.table[name] if self.table is not None and name in self.table else None


def in_steps(weights: Array, params: QParams) -> Array:
    """``weights`` divided by the scale of their channel."""
    others = tuple(i for i in range(weights.ndim) if i != (params.axis or 0))
    scale = np.asarray(params.scale)
    steps: Array = weights / (np.expand_dims(scale, others) if scale.size > 1 else scale[0])
    return steps
