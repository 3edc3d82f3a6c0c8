"""Shape computations at run time."""

from __future__ import annotations

from clearport.operators.record import Operator, coreai, in_torch, listed, mil, tflite

SHAPE = Operator(
    "Shape",
    "shape",
    tflite=tflite("move:shape"),
    mil=mil("matrix:shape_of"),
    coreai=coreai("index:shape"),
    elsewhere=listed("htp", "webgpu", "webnn"),
    torch=in_torch("shape"),
)

OPERATORS = (SHAPE,)
