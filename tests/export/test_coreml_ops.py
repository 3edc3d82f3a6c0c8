"""Every operator that Core ML has a rule for: lowered, saved, read back, and compared with ONNX Runtime.

Each case is a small network: a convolution of the image, the operator, and a convolution to the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport import graphs
from clearport.base import Graph, TensorSpec
from clearport.registry import missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export import coreml_package, mil_program, passes
from clearport.export.mil_rules import RULES
from clearport.export.to_coreml import _description
from clearport.quantize import flow, qdq
from clearport.runtime.milref_program import read
from clearport.runtime.run_milref import RUNNER

if TYPE_CHECKING:
    from clearport.base import Array, QuantizedGraph

HEIGHT, WIDTH, WIDE = 12, 16, 8  # WIDE: channels before the operator
PLAIN = flow.QuantizeOptions(equalisation=(0.0,), search=False, compensate=False)


@dataclass(frozen=True)
class Case:
    """An operator between ``x`` (1, 8, 12, 16), or ``x`` and ``x2``, and ``y`` with ``channels`` channels."""

    op: str
    channels: int = WIDE
    inputs: tuple[str, ...] = ("x",)
    constants: tuple[tuple[str, Any], ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return self.op + "".join(f"-{name}={value}" for name, value in self.attributes)


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def weights(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(0, 0.1, shape).astype(np.float32)


def scales(*numbers: float) -> tuple[tuple[str, Any], ...]:
    return (("roi", None), ("scales", np.array(numbers, np.float32)))


CASES = (
    Case("Add", inputs=("x", "x2")),
    Case("AveragePool", attributes=(("kernel_shape", [2, 2]), ("strides", [2, 2]))),
    Case("AveragePool", attributes=(("kernel_shape", [3, 3]), ("pads", [1, 1, 1, 1]), ("count_include_pad", 0))),
    Case("AveragePool", attributes=(("kernel_shape", [3, 3]), ("pads", [1, 0, 1, 2]), ("count_include_pad", 1))),
    Case("Clip", constants=(("lo", np.float32(-10)), ("hi", np.float32(60)))),
    Case("Clip", constants=(("lo", None), ("hi", np.float32(40)))),
    Case("Clip", constants=(("lo", np.float32(-5)),)),
    Case("Concat", channels=16, inputs=("x", "x2"), attributes=(("axis", 1),)),
    Case("Conv", 4, constants=(("w", weights(4, 8, 3, 3)), ("b", weights(4))), attributes=(("pads", [1, 1, 1, 1]),)),
    Case(
        "Conv",
        constants=(("w", weights(8, 1, 3, 3)), ("b", weights(8))),
        attributes=(("group", 8), ("pads", [0, 1, 2, 1]), ("strides", [2, 1])),
    ),
    Case(
        "Conv",
        5,
        constants=(("w", weights(5, 8, 3, 3)), ("b", weights(5))),
        attributes=(("dilations", [2, 2]), ("pads", [2, 2, 2, 2])),
    ),
    Case(
        "ConvTranspose",
        4,
        constants=(("w", weights(8, 4, 3, 3)), ("b", weights(4))),
        attributes=(("strides", [2, 2]), ("pads", [1, 1, 1, 1]), ("output_padding", [1, 1])),
    ),
    Case("DepthToSpace", 2, attributes=(("blocksize", 2), ("mode", "DCR"))),
    Case("GlobalAveragePool"),
    Case("LeakyRelu", attributes=(("alpha", 0.1),)),
    Case("MaxPool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("pads", [1, 1, 0, 1]))),
    Case("Mul", inputs=("x", "x2")),
    Case("PRelu", constants=(("slope", np.abs(weights(8, 1, 1))),)),
    Case("Pad", constants=(("pads", ints(0, 0, 1, 0, 0, 0, 2, 3)),)),
    Case("Relu"),
    Case(
        "Resize", constants=scales(1, 1, 2, 3), attributes=(("mode", "nearest"), ("nearest_mode", "round_prefer_ceil"))
    ),
    Case(
        "Resize",
        constants=scales(1, 1, 2, 2),
        attributes=(("nearest_mode", "floor"), ("coordinate_transformation_mode", "asymmetric")),
    ),
    Case("Resize", constants=scales(1, 1, 2, 2), attributes=(("mode", "linear"),)),
    Case("Resize", constants=scales(1, 1, 0.5, 1.5), attributes=(("mode", "linear"),)),
    Case(
        "Resize",
        constants=(("roi", None), ("scales", None), ("sizes", ints(1, 8, 20, 20))),
        attributes=(("mode", "linear"), ("coordinate_transformation_mode", "align_corners")),
    ),
    Case("Sigmoid"),
    Case("Slice", 3, constants=(("starts", ints(2, 1)), ("ends", ints(5, -2)), ("axes", ints(1, 3)))),
    Case(
        "Slice",
        constants=(("starts", ints(0, -9)), ("ends", ints(2**62, 2**62)), ("axes", ints(2, 3)), ("steps", ints(2, 1))),
    ),
    Case("Sub", inputs=("x", "x2")),
    Case("Tanh"),
)


def network(case: Case, value_range: tuple[float, float] = (0.0, 255.0), free: bool = False) -> Graph:
    """The case as a checked graph."""
    tensors = {
        "head_w": weights(WIDE, 3, 3, 3) / value_range[1] * 255,
        "head_b": weights(WIDE),
        "side_w": weights(3, WIDE)[0].reshape(WIDE, 1, 1, 1) * np.ones((1, 3, 1, 1), np.float32),
        "side_b": weights(WIDE) - 1,
        "tail_w": weights(3, case.channels, 1, 1) * 3,
        "tail_b": weights(3),
        **{name: np.asarray(value) for name, value in case.constants if value is not None},
    }
    operands = [*case.inputs, *("" if value is None else name for name, value in case.constants)]
    nodes = [
        helper.make_node("Conv", ["image", "head_w", "head_b"], ["x"], "head", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["image", "side_w", "side_b"], ["x2"], "side"),
        helper.make_node(case.op, operands, ["y"], "tested", **dict(case.attributes)),
        helper.make_node("Conv", ["y", "tail_w", "tail_b"], ["restored"], "tail"),
    ]
    if "x2" not in case.inputs:
        del nodes[1], tensors["side_w"], tensors["side_b"]
    sides: list[Any] = ["H", "W"] if free else [HEIGHT, WIDTH]
    body = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, [1, 3, "OH", "OW"])],
        [numpy_helper.from_array(np.ascontiguousarray(t), name) for name, t in tensors.items()],
    )
    model = ir.from_proto(helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    source = TensorSpec("image", (1, 3, *sides), value_range=value_range)
    return graphs.check(
        Graph(model, source, TensorSpec("restored", (1, 3, "OH", "OW"), value_range=value_range), "tiny", 1)
    )


def picture(seed: int = 0) -> Array:
    """A smooth picture (1, 3, H, W), 0..255, with some noise: as photos are, and unlike noise alone."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [np.sin(rows / 3 + c + seed) + np.cos(columns / 4 + 2 * c) for c in range(3)]
    return (
        np.clip(np.stack(waves)[None] * 60 + 128 + rng.normal(0, 9, (1, 3, HEIGHT, WIDTH)), 0, 255)
        .round()
        .astype(np.float32)
    )


def onnxruntime(model: ir.Model, image: Array) -> Array:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        graphs.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: Array = session.run(None, {"image": image})[0]
    return result


def evaluated(plan: mil_program.Plan, image: Array, folder: Path) -> Array:
    """The result of the package that ``plan`` gives, saved and read back."""
    path = folder / "tiny.mlpackage"
    coreml_package.write(mil_program.convert(plan), _description(plan), path)
    return RUNNER.open(path, 1, {}).run({"image": image})["restored"]


def calibrated(graph: Graph) -> QuantizedGraph:
    images = [picture(seed)[0].transpose(1, 2, 0).astype(np.uint8) for seed in (0, 1)]
    return flow.quantize(passes.run(graph), images, PLAIN)


def psnr_db(got: Array, wanted: Array) -> float:
    """PSNR with the spread of what is wanted as its peak."""
    return float(10 * np.log10(np.ptp(wanted) ** 2 / np.mean((got.astype(np.float64) - wanted) ** 2)))


def test_every_rule_has_a_case() -> None:
    assert {case.op for case in CASES} == set(RULES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fp32_equals_onnxruntime(case: Case, tmp_path: Path) -> None:
    graph, image = network(case), picture()
    wanted = onnxruntime(graph.model, image)
    got = evaluated(mil_program.Plan(graph, "fp32", "tensor"), image, tmp_path)
    assert (got.shape, got.dtype) == (wanted.shape, np.float32)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * 255)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fp16_is_near(case: Case, tmp_path: Path) -> None:
    graph, image = network(case), picture()
    wanted = onnxruntime(graph.model, image)
    got = evaluated(mil_program.Plan(graph, "fp16", "tensor"), image, tmp_path)
    assert (got.shape, got.dtype) == (wanted.shape, np.float32)
    assert psnr_db(got, wanted) >= 58.0


@pytest.mark.parametrize("case", [case for case in CASES if "Conv" in case.op], ids=str)
def test_int8_weights_are_near(case: Case, tmp_path: Path) -> None:
    graph, image = network(case), picture()
    wanted = onnxruntime(graph.model, image)
    got = evaluated(mil_program.Plan(graph, "int8-weights", "tensor"), image, tmp_path)
    assert psnr_db(got, wanted) >= 38.0
    kinds = [operation.type for operation in read(tmp_path / "tiny.mlpackage").operations]
    assert kinds.count("constexpr_affine_dequantize") == 3  # the head, the case, the tail


@pytest.mark.parametrize("case", CASES, ids=str)
def test_int8_is_the_qdq_model(case: Case, tmp_path: Path) -> None:
    quantized, image = calibrated(network(case)), picture()
    wanted = onnxruntime(qdq.to_qdq(quantized), image)
    got = evaluated(mil_program.Plan(quantized.graph, "int8", "tensor", quantized.table), image, tmp_path)
    assert got.shape == wanted.shape
    steps = np.abs(got - wanted) / quantized.table["restored"].scale[0]
    # Averages of few integers often are exact halves, and the last bit of the sum decides; otherwise hardly ever.
    mean, most = (0.2, 4.01) if case.op in {"AveragePool", "Resize"} else (0.01, 1.01)
    assert steps.mean() <= mean
    assert steps.max() <= most
