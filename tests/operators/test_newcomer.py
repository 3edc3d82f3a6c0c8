"""A new operator record reaches the quantizer, every target, their proofs and lint, without other code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from clearport.base import Options
from clearport.errors import UnsupportedOperator
from clearport.export.coreml.program import Plan
from clearport.export.passes import order as passes
from clearport.export.tflite.lint import nnapi
from clearport.export.tflite.target import emit
from clearport.export.tflite.versions import runtime
from clearport.export.written import target_graph
from clearport.operators import table
from clearport.operators.record import Int8, Kernel, Operator, Rule
from clearport.quantize.flow import quantize
from clearport.quantize.qdq import to_qdq
from clearport.registry import missing

from ..export.every_target import available, by_target
from ..export.tflite.harness import PLAIN, SIZE, Case, after_conv, build, one, onnxruntime, pictures, real

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.runtime.coreml_reference.arguments import Arguments

if missing(("ai-edge-litert", "coremltools", "ncnn", "openvino")):
    pytest.skip("a target is not installed", allow_module_level=True)


def sinh_of_tflite(low: Any, node: ir.Node) -> None:
    """Half of exp(x) - exp(-x), in float also where it is given and gives int8."""
    given, order = low.stored(node)
    x = given
    if given.quant is not None:
        x = low.file.tensor("sinh/x", given.dims, "float32", None, given.free)
        low.file.operator("DEQUANTIZE", [given], x)

    def step(what: str, op: str, *inputs: Any, **options: Any) -> Any:
        made = low.file.tensor(f"sinh/{what}", given.dims, "float32", None, given.free)
        low.file.operator(op, list(inputs), made, **options)
        return made

    rising, falling = step("up", "EXP", x), step("down", "EXP", step("neg", "NEG", x))
    whole = step("sub", "SUB", rising, falling, fusedActivationFunction=0)
    half = low.file.constant("half", np.array([0.5], np.float32))
    if given.quant is None:
        low.write(node, "MUL", [whole, half], given.dims, order, fusedActivationFunction=0)
    else:
        low.write(node, "QUANTIZE", [step("mul", "MUL", whole, half, fusedActivationFunction=0)], given.dims, order)


def sinh_of_ncnn(low: Any, node: ir.Node) -> None:
    rising = low.between(node, "up", "UnaryOp", [low.blob(node)], {0: 7})
    falling = low.between(
        node, "down", "UnaryOp", [low.between(node, "neg", "UnaryOp", [low.blob(node)], {0: 1})], {0: 7}
    )
    whole = low.between(node, "sub", "BinaryOp", [rising, falling], {0: 1})
    low.write(node, "BinaryOp", [whole], {0: 2, 1: 1, 2: 0.5})


def atan_of_tflite(low: Any, node: ir.Node) -> None:
    image, order = low.stored(node)
    ones = low.file.constant("ones", np.ones(image.dims, np.float32))
    low.write(node, "ATAN2", [image, ones], image.dims, order)


def of_mil(low: Any, node: ir.Node, name: str, op: str) -> Any:
    return getattr(low.mb, op)(x=low.var(node, 0), name=name)


def sinh_evaluated(a: Arguments) -> Any:
    return a.tensor("x").sinh()


SINH = Operator(
    "Sinh",
    "unary",
    Int8(),
    tflite=Rule(sinh_of_tflite),
    mil=Rule(of_mil, {"op": "sinh"}),
    ncnn=Rule(sinh_of_ncnn),
    coreai=Rule("clearport.export.coreai.elementwise:unary", {"op": "sinh"}),
    reference={"sinh": sinh_evaluated},
)
ATAN = Operator(
    "Atan",
    "unary",
    tflite=Rule(atan_of_tflite),
    mil=Rule(of_mil, {"op": "atan"}, since=lambda node: 16),
    ncnn=Rule("clearport.export.ncnn.elementwise:unary", {"code": 14}),
    coreai=Rule("clearport.export.coreai.elementwise:unary", {"op": "atan"}),
    kernels=(Kernel("ATAN2", ("2.10.0",), float32=31),),
    reference={"atan": lambda a: a.tensor("x").atan()},
)
GRAPHS = {
    "Sinh": after_conv(("Sinh", "x", "s", {}), one("Add", "s y")),
    "Sinh, clamped": after_conv(
        ("Sinh", "x", "s", {}), one("Clip", "s lo hi"), constants={"lo": np.float32(0), "hi": np.float32(0.5)}
    ),
    "Atan": after_conv(("Atan", "x", "s", {}), one("Add", "s y")),
}
CLOSE = {"fp32": 1e-4, "fp16": 4e-3}


@pytest.mark.parametrize("name", ["Sinh", "Atan"])
def test_without_its_record_an_operator_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedOperator, match=f"unsupported operator {name} of layer"):
        emit(target_graph(build(GRAPHS[name]), None, "fp32"), Options(SIZE, "float32"))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
def test_every_target_writes_and_computes_it(case: Case, precision: Any, tmp_path: Path) -> None:
    image = real(pictures()[0])
    with table.registered(SINH, ATAN):
        graph = passes.run(build(case))
        outcomes = dict(by_target(graph, image, tmp_path, precision))
    wanted = onnxruntime(build(case).model, image)
    assert set(outcomes) == {way for way in available() if precision == "fp32" or way != "onnxruntime"}
    for way, outcome in outcomes.items():
        assert outcome.picture is not None, (way, outcome.refusal)
        given, close = outcome.picture.reshape(wanted.shape), CLOSE[precision]
        np.testing.assert_allclose(given, wanted, atol=close, rtol=close, err_msg=way)


@pytest.mark.parametrize("case", GRAPHS.values(), ids=GRAPHS)
def test_it_is_quantized_as_its_record_says(case: Case, tmp_path: Path) -> None:
    """Sinh has an int8 form, whose range saturates for a clamp behind it; Atan stays in float."""
    with table.registered(SINH, ATAN):
        quantized = quantize(passes.run(build(case)), pictures(), PLAIN)
        image = real(pictures()[0])
        outcomes = dict(by_target(quantized.graph, image, tmp_path, "int8", quantized))
    int8 = {n.op_type for n in quantized.graph.model.graph if n.outputs[0].name in quantized.table}
    assert ("Sinh" in int8, "Atan" in int8) == (case is not GRAPHS["Atan"], False)
    assert "Clip" not in {n.op_type for n in quantized.graph.model.graph}
    wanted = onnxruntime(to_qdq(quantized), image)
    step = quantized.table["restored"].scale[0]
    assert {way for way, outcome in outcomes.items() if outcome.picture is not None} == set(available()) - {"ncnn"}
    for way, outcome in outcomes.items():
        if outcome.picture is not None:
            steps = np.abs(outcome.picture - wanted) / step
            assert steps.max() <= 2.01, way
            assert (steps < 0.01).mean() >= 0.98, way


def test_the_lint_and_the_file_say_what_the_record_says(tmp_path: Path) -> None:
    with table.registered(SINH, ATAN):
        data, _, _ = emit(target_graph(build(GRAPHS["Atan"]), None, "fp32"), Options(SIZE, "float32"))
        (tmp_path / "case.tflite").write_bytes(data)
        found = nnapi.lint(tmp_path / "case.tflite")
        assert {f.op: f.api_level for f in found.findings} == {"CONV_2D": 27, "ATAN2": 31, "ADD": 27}
        assert runtime([("ATAN2", 1)]).rstrip(b"\0") == b"2.10.0"
        assert Plan(build(GRAPHS["Atan"]), "fp32", "tensor").ios == 16
    assert runtime([("ATAN2", 1)]).rstrip(b"\0") == b"1.5.0"
