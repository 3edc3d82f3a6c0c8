"""Comparisons, logic, selection (Where) and casts."""

from __future__ import annotations

from clearport.operators.record import Kernel, Operator, Rule, coreai, listed, mil, ncnn, tflite


def _comparison(name: str, tflite_op: str, mil_op: str, rule: str, apple: Rule) -> Operator:
    return Operator(
        name,
        "binary",
        jumps=True,
        tflite=tflite("choices:comparison", op=tflite_op),
        mil=mil("choices:comparison", op=mil_op),
        coreai=apple,
        ncnn=ncnn(f"choices:{rule}"),
        kernels=(Kernel(tflite_op, ("1.14.0", "1.14.0")),),
        reference={mil_op: f"clearport.runtime.coreml_reference.choices:{mil_op}"},
        elsewhere=listed("htp", "webgpu", "webnn"),
    )


def _logic(name: str, tflite_op: str | None, mil_op: str, rule: str) -> Operator:
    return Operator(
        name,
        "binary",
        tflite=None if tflite_op is None else tflite("choices:comparison", op=tflite_op),
        mil=mil("choices:comparison", op=mil_op),
        coreai=coreai("choices:logic", op=mil_op.removeprefix("logical_")),
        ncnn=ncnn(f"choices:{rule}"),
        kernels=() if tflite_op is None else (Kernel(tflite_op, ("1.11.0",)),),
        reference={mil_op: f"clearport.runtime.coreml_reference.choices:{mil_op}"},
        elsewhere=listed("htp", "webnn"),
    )


CAST = Operator(
    "Cast",
    "unary",
    tflite=tflite("choices:cast"),
    mil=mil("choices:cast"),
    coreai=coreai("choices:cast"),
    ncnn=ncnn("choices:cast"),
    kernels=(Kernel("CAST", ("1.5.0",), float32=29),),
    elsewhere=listed("htp", "webgpu", "webnn"),
)
NOT = Operator(
    "Not",
    "unary",
    tflite=tflite("choices:negation"),
    mil=mil("elementwise:unary", op="logical_not"),
    coreai=coreai("elementwise:unary", op="not_"),
    ncnn=ncnn("choices:negation"),
    kernels=(Kernel("LOGICAL_NOT", ("1.11.0",), float32=29),),
    reference={"logical_not": "clearport.runtime.coreml_reference.choices:logical_not"},
    elsewhere=listed("htp", "webgpu", "webnn"),
)
WHERE = Operator(
    "Where",
    "binary",
    tflite=tflite("choices:where"),
    mil=mil("choices:where"),
    coreai=coreai("choices:where"),
    ncnn=ncnn("choices:where"),
    kernels=(Kernel("SELECT_V2", ("2.2.0",)),),
    reference={"select": "clearport.runtime.coreml_reference.choices:select"},
    elsewhere=listed("htp", "webgpu", "webnn"),
)

EQUAL = _comparison("Equal", "EQUAL", "equal", "equal", coreai("choices:logic", op="equal"))
GREATER = _comparison("Greater", "GREATER", "greater", "greater", coreai("choices:greater"))
COMPARISONS = (
    EQUAL,
    GREATER,
    _comparison(
        "GreaterOrEqual", "GREATER_EQUAL", "greater_equal", "not_less", coreai("choices:greater", or_equal=True)
    ),
    _comparison("Less", "LESS", "less", "less", coreai("choices:greater", swapped=True)),
    _comparison(
        "LessOrEqual", "LESS_EQUAL", "less_equal", "not_greater", coreai("choices:greater", swapped=True, or_equal=True)
    ),
)

OPERATORS = (
    CAST,
    NOT,
    WHERE,
    *COMPARISONS,
    _logic("And", "LOGICAL_AND", "logical_and", "both"),
    _logic("Or", "LOGICAL_OR", "logical_or", "either"),
    _logic("Xor", "NOT_EQUAL", "logical_xor", "one_of_two"),
)
