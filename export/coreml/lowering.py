"""The state of one MIL program under construction: what rules read from and write to.

A rule (``coreml.rules``) requests operands, constants and weights by the ONNX node, independent of the precision:
values have the compute type, weights have that type or are int8 with a scale per output channel, which Core ML expands
at load time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Precision
from clearport.errors import UnsupportedOperator
from clearport.export.coreml.tools import load
from clearport.export.typed_lowering import TypedLowering, in_steps
from clearport.graph.nodes import name_of, need
from clearport.quantized import QParams

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array

COMPUTE: dict[Precision, type[np.floating[Any]]] = {
    "fp32": np.float32,
    "fp16": np.float16,
    "int8": np.float32,
    "int8-weights": np.float16,
}
"""The compute type of a precision.

int8 computes in float32 between quantization steps, and so follows the scale table (NCNet, published weights, 14
photos: mean 0.003 levels from the QDQ model). In fp16 scales, weights and sums are themselves rounded to 11 bits, which
moves values across the borders of the int8 grid: mean 0.89 levels, and 0.36 dB worse against PyTorch because a sum such
as 200 + 2.469 becomes 202.5. The drawback: the Neural Engine supports fp16 only, so int8 runs on CPU and GPU.
"""


def builder() -> Any:
    """coremltools' MIL Builder."""
    load()
    from coremltools.converters.mil import Builder

    return Builder


class Lowering(TypedLowering):
    """One MIL program; ``values`` are its variables."""

    TARGET = "coreml"
    COMPUTE = COMPUTE

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mb = builder()
        self.casts: dict[tuple[str, str], Any] = {}

    def var(self, node: ir.Node, index: int) -> Any:
        """The MIL variable of input ``index`` of ``node``; constants are converted to the compute type."""
        value = need(node, index)
        name = name_of(value)
        return self.array(node, index) if name not in self.values else self.cast(name)

    def tensor(self, node: ir.Node, index: int) -> Any:
        """As ``var``; a constant is a variable of the program, too, and so has a rank."""
        found = self.var(node, index)
        return self.mb.const(val=found) if isinstance(found, np.ndarray) else found

    def shared(self, node: ir.Node, index: int) -> Any:
        """As ``var``; a constant with several consumers is one constant of the program."""
        value = need(node, index)
        name = name_of(value)
        if name in self.values or len(value.uses()) == 1:
            return self.var(node, index)
        key = name, np.dtype(self.compute).name
        if key not in self.casts:
            self.casts[key] = self.mb.const(val=self.array(node, index), name="_".join(key))
        return self.casts[key]

    def cast(self, name: str) -> Any:
        """The MIL variable of a computed value, in the compute type; integers, which are sizes, stay integers."""
        from coremltools.converters.mil.mil import types

        found, word = self.values[name], "fp16" if self.compute is np.float16 else "fp32"
        if not types.is_float(found.dtype) or types.builtin_to_string(found.dtype) == word:
            return found
        if (name, word) not in self.casts:
            self.casts[name, word] = self.mb.cast(x=found, dtype=word, name=f"{name}_{word}")
        return self.casts[name, word]

    def weight(self, node: ir.Node) -> Any:
        """The weights (input 1) of ``node``; as int8 and a scale for each output channel where the table has them."""
        held, params = self.held_weight(node)
        return self.fit(node, held) if params is None else self._packed(node, np.rint(in_steps(held, params)), params)

    def _packed(self, node: ir.Node, steps: Array, params: QParams) -> Any:
        scale = np.asarray(params.scale)
        return self.mb.constexpr_affine_dequantize(
            quantized_data=np.clip(steps, -128, 127).astype(np.int8),
            zero_point=np.int8(params.zero_point),
            scale=self.fit(node, scale if scale.size > 1 else scale[0]),
            axis=np.int32(params.axis or 0),
            name=f"{name_of(need(node, 1))}_int8",
        )

    def requantize(self, var: Any, name: str, params: QParams) -> Any:
        """``var`` rounded to the int8 grid of ``params`` and back: quantize, then dequantize to ``name``."""
        scale, zero_point = self.compute(params.scale[0]), np.int8(params.zero_point)
        stored = self.mb.quantize(
            input=var, scale=scale, zero_point=zero_point, output_dtype="int8", name=f"{name}_int8"
        )
        return self.mb.dequantize(input=stored, scale=scale, zero_point=zero_point, name=name)


def refuse(node: ir.Node, why: str) -> UnsupportedOperator:
    """The error for a ``node`` that Core ML does not support."""
    return UnsupportedOperator("coreml", node.op_type, node.name or "", why)
