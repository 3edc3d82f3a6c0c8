"""Quantization boundaries."""

from __future__ import annotations

from clearport.operators.record import Int8, Operator, coreai, in_torch, listed, mil, ncnn, tflite

DEQUANTIZE = Operator("DequantizeLinear", "quantization", elsewhere=listed("htp", "webgpu", "webnn"))
QUANTIZE = Operator("QuantizeLinear", "quantization", elsewhere=listed("htp", "webnn"))
REQUANTIZE = Operator(
    "Identity",
    "quantization",
    Int8("anew"),
    tflite=tflite("requantize:identity"),
    mil=mil("elementwise:unary", op="identity"),
    ncnn=ncnn("elementwise:identity"),
    coreai=coreai("elementwise:identity"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("plain", of="torch:clone"),
)
"""Written by the quantizer where int8 begins or a tensor is requantized, and by passes if a network's output is one of
its inputs.
"""

OPERATORS = (DEQUANTIZE, QUANTIZE, REQUANTIZE)
