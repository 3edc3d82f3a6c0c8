"""Every operator that Core ML has a rule for: lowered, saved, read back, and compared with ONNX Runtime.

Each case is a small network: a convolution of the image, the operator, and a convolution to the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """An operator on values of ``GIVEN``, all (1, 8, 12, 16), to ``y`` with ``channels`` channels.

    ``after``: the shape that ``y`` is brought to for the convolution that follows.
    """

    op: str
    channels: int = WIDE
    inputs: tuple[str, ...] = ("x",)
    constants: tuple[tuple[str, Any], ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()
    after: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = [f"{name}={value}" for name, value in self.attributes]
        shown += [f"{name}={value.tolist()}" for name, value in self.constants if value is not None and value.size < 9]
        return "-".join([self.op, *self.inputs, *shown])


GIVEN = {
    "x": (),
    "x2": (helper.make_node("Conv", ["image", "side_w", "side_b"], ["x2"], "side"),),
    "small": (helper.make_node("Mul", ["x", "hundredth"], ["small"], "smaller"),),
    "bright": (helper.make_node("Clip", ["x", "one"], ["bright"], "brighter"),),
    "turned": (
        helper.make_node("Mul", ["x", "hundredth"], ["small2"], "smaller2"),
        helper.make_node("Transpose", ["small2"], ["turned"], "turn", perm=[0, 1, 3, 2]),
    ),
    "pooled": (helper.make_node("GlobalAveragePool", ["x"], ["pooled"], "pool"),),
}
"""How each value that a case can read is made: of about 100 and both signs, of about 1, of 1 and more, per channel."""


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def weights(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(0, 0.1, shape).astype(np.float32)


def scales(*numbers: float) -> tuple[tuple[str, Any], ...]:
    return (("roi", None), ("scales", np.array(numbers, np.float32)))


def sizes(height: int, width: int) -> tuple[tuple[str, Any], ...]:
    return (("roi", None), ("scales", None), ("sizes", ints(1, WIDE, height, width)))


def sampled(mode: str, coordinates: str, rounding: str = "floor") -> tuple[tuple[str, Any], ...]:
    return (("mode", mode), ("coordinate_transformation_mode", coordinates), ("nearest_mode", rounding))


BEYOND_THE_PICTURE = [
    Case("MaxPool", attributes=(("kernel_shape", [2, 2]), ("strides", [3, 3]), ("pads", [1] * 4), ("ceil_mode", 1)))
]
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
    Case("Resize", constants=scales(1, 1, 1.5, 2.5), attributes=sampled("nearest", "asymmetric")),
    Case("Resize", constants=sizes(7, 23), attributes=sampled("nearest", "half_pixel", "round_prefer_floor")),
    Case("Resize", constants=sizes(6, 8), attributes=sampled("nearest", "half_pixel", "round_prefer_ceil")),
    Case("Resize", constants=sizes(7, 9), attributes=sampled("nearest", "align_corners", "ceil")),
    Case("Resize", constants=scales(1, 1, 0.5, 0.25), attributes=sampled("nearest", "asymmetric")),
    Case("Resize", constants=scales(1, 1, 0.2, 0.2), attributes=sampled("nearest", "asymmetric")),
    Case("Resize", constants=scales(1, 1, 0.5, 0.25), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=scales(1, 1, 1 / 3, 0.2), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=scales(1, 1, 0.5, 0.3), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=scales(1, 1, 1.3, 2), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=sizes(17, 21), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=sizes(1, 15), attributes=sampled("linear", "half_pixel")),
    Case("Resize", constants=sizes(1, 15), attributes=sampled("linear", "pytorch_half_pixel")),
    Case("Resize", constants=sizes(1, 15), attributes=sampled("linear", "align_corners")),
    Case("Resize", constants=scales(1, 1, 2, 3), attributes=sampled("linear", "align_corners")),
    Case("Resize", constants=scales(1, 1, 2, 2), attributes=sampled("linear", "asymmetric")),
    Case("Resize", constants=scales(1, 1, 1.3, 2), attributes=sampled("linear", "asymmetric")),
    Case("Abs"),
    Case("Add", inputs=("x", "pooled")),
    Case("AveragePool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("ceil_mode", 1))),
    Case("Div", inputs=("x", "bright")),
    Case("Div", constants=(("by", np.float32(7)),)),
    Case("Erf", inputs=("small",)),
    Case("Exp", inputs=("small",)),
    Case("Expand", inputs=("pooled",), constants=(("to", ints(1, 8, 4, 5)),)),
    Case("Expand", channels=4, inputs=("pooled",), constants=(("to", ints(4, 1, 1, 1, 3)),), after=(1, 4, 8, 3)),
    Case("Gelu", inputs=("small",), attributes=(("approximate", "none"),)),
    Case("Gelu", inputs=("small",), attributes=(("approximate", "tanh"),)),
    Case("GlobalMaxPool"),
    Case("HardSwish", inputs=("small",)),
    Case(
        "LayerNormalization",
        constants=(("scale", 1 + weights(16)), ("bias", weights(16))),
        attributes=(("axis", 3), ("epsilon", 0.5)),
    ),
    Case("LayerNormalization", constants=(("scale", weights(12, 16)),), attributes=(("axis", 2),)),
    Case("Log", inputs=("bright",)),
    Case("MatMul", inputs=("small", "turned")),
    Case("MatMul", constants=(("w", weights(16, 5)),)),
    Case("Max", inputs=("x", "x2")),
    Case("MaxPool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("ceil_mode", 1))),
    *BEYOND_THE_PICTURE,
    Case("Min", inputs=("x", "x2")),
    Case("Mul", inputs=("x", "pooled")),
    Case("Neg"),
    Case("Pad", constants=(("pads", ints(0, 0, 1, 2, 0, 0, 3, 0)),), attributes=(("mode", "reflect"),)),
    Case("Pad", constants=(("pads", ints(0, 0, 1, 2, 0, 0, 3, 0)),), attributes=(("mode", "edge"),)),
    Case("Pad", constants=(("pads", ints(2, 3)), ("fill", np.float32(9)), ("axes", ints(3)))),
    Case("Pow", inputs=("bright",), constants=(("power", np.float32(0.45)),)),
    Case("Pow", inputs=("bright", "small")),
    Case("ReduceMax", 1, constants=(("axes", ints(1)),)),
    Case("ReduceMean", 1, constants=(("axes", ints(1)),)),
    Case("ReduceMean", constants=(("axes", ints(2, 3)),)),
    Case("ReduceMin", constants=(("axes", ints(3)),)),
    Case(
        "ReduceSum", constants=(("axes", ints(1, 2)),), attributes=(("keepdims", 0),), channels=1, after=(1, 1, 1, 16)
    ),
    Case("Reshape", 4, constants=(("shape", ints(1, 4, 24, 16)),)),
    Case("Sigmoid"),
    Case("Slice", 3, constants=(("starts", ints(2, 1)), ("ends", ints(5, -2)), ("axes", ints(1, 3)))),
    Case(
        "Slice",
        constants=(("starts", ints(0, -9)), ("ends", ints(2**62, 2**62)), ("axes", ints(2, 3)), ("steps", ints(2, 1))),
    ),
    Case("Slice", constants=(("starts", ints(1)), ("ends", ints(11)), ("axes", ints(2)), ("steps", ints(3)))),
    Case("Softmax", inputs=("small",), attributes=(("axis", 3),)),
    Case("Softmax", inputs=("small",), attributes=(("axis", 1),)),
    Case("SpaceToDepth", 32, attributes=(("blocksize", 2),)),
    Case("Sqrt", inputs=("bright",)),
    Case("Squeeze", inputs=("pooled",), after=(1, 8, 1, 1)),
    Case("Squeeze", constants=(("axes", ints(0)),), after=(1, 8, 12, 16)),
    Case("Sub", inputs=("x", "x2")),
    Case("Sub", inputs=("x2", "pooled")),
    Case("Tanh"),
    Case("Tile", constants=(("repeats", ints(1, 1, 2, 3)),)),
    Case("Transpose", 12, attributes=(("perm", [0, 2, 1, 3]),)),
    Case("Unsqueeze", constants=(("axes", ints(-1)),), after=(1, 8, 12, 16)),
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
        "hundredth": np.float32(0.01),
        "one": np.float32(1),
        "after": ints(*case.after),
        **{name: np.asarray(value) for name, value in case.constants if value is not None},
    }
    operands = [*case.inputs, *("" if value is None else name for name, value in case.constants)]
    nodes = [
        helper.make_node("Conv", ["image", "head_w", "head_b"], ["x"], "head", pads=[1, 1, 1, 1]),
        *(node for name in case.inputs for node in GIVEN[name]),
        helper.make_node(case.op, operands, ["y"], "tested", **dict(case.attributes)),
        *([helper.make_node("Reshape", ["y", "after"], ["y4"], "after")] if case.after else []),
        helper.make_node("Conv", ["y4" if case.after else "y", "tail_w", "tail_b"], ["restored"], "tail"),
    ]
    read = {name for node in nodes for name in node.input}
    tensors = {name: array for name, array in tensors.items() if name in read}
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
    assert {case.op for case in CASES} == set(RULES) - {"Shape"}  # Shape: test_sizes_that_are_computed


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


def with_size_of_image(graph: Graph) -> Graph:
    """A free-size graph whose Resize goes to the height and width of the image, as F.interpolate(size=...) exports."""
    proto = graphs.to_proto(graph.model)
    (resized,) = (node for node in proto.graph.node if node.op_type == "Resize")
    resized.input[:] = ["y_small", "", "", "wanted"]
    proto.graph.initializer.append(numpy_helper.from_array(ints(1, WIDE), "first"))
    place = list(proto.graph.node).index(resized)
    for node in (
        helper.make_node("Concat", ["first", "height", "width"], ["wanted"], "joined", axis=0),
        helper.make_node("Shape", ["image"], ["width"], "width", start=3),
        helper.make_node("Shape", ["image"], ["height"], "height", start=-2, end=-1),
        helper.make_node("MaxPool", ["x"], ["y_small"], "small", kernel_shape=[3, 3], strides=[2, 2]),
    ):
        proto.graph.node.insert(place, node)
    return graphs.check(replace(graph, model=ir.from_proto(proto)))


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners"])
def test_sizes_that_are_computed(coordinates: str, tmp_path: Path) -> None:
    case = Case("Resize", constants=scales(1, 1, 1, 1), attributes=sampled("linear", coordinates))
    graph = with_size_of_image(network(case, free=True))
    plan = mil_program.Plan(graph, "fp32", "tensor")
    assert plan.ios == 17
    same_for_every_size(plan, tmp_path)


FREE = {
    "linear to twice the size": Case(
        "Resize", constants=scales(1, 1, 2, 2), attributes=sampled("linear", "half_pixel")
    ),
    "linear to a third": Case(
        "Resize", constants=scales(1, 1, 1 / 3, 1 / 3), attributes=sampled("linear", "half_pixel")
    ),
    "nearest to a quarter": Case(
        "Resize", constants=scales(1, 1, 0.25, 0.25), attributes=sampled("nearest", "asymmetric")
    ),
    "ceil_mode": Case("MaxPool", attributes=(("kernel_shape", [3, 3]), ("strides", [2, 2]), ("ceil_mode", 1))),
    "ceil_mode, windows that begin in the padding": Case(
        "MaxPool", attributes=(("kernel_shape", [2, 2]), ("strides", [2, 2]), ("pads", [1] * 4), ("ceil_mode", 1))
    ),
    "mean of all": Case("ReduceMean", constants=(("axes", ints(2, 3)),)),
    "by the mean": Case("Mul", inputs=("x", "pooled")),
    "reflected": Case("Pad", constants=(("pads", ints(0, 0, 2, 2, 0, 0, 2, 2)),), attributes=(("mode", "reflect"),)),
}


@pytest.mark.parametrize("what", FREE)
def test_free_sizes(what: str, tmp_path: Path) -> None:
    same_for_every_size(mil_program.Plan(network(FREE[what], free=True), "fp32", "tensor"), tmp_path)


def same_for_every_size(plan: mil_program.Plan, folder: Path) -> None:
    """The package of ``plan`` gives what ONNX Runtime gives, whatever the size."""
    path = folder / "tiny.mlpackage"
    coreml_package.write(mil_program.convert(plan), _description(plan), path)
    session = RUNNER.open(path, 1, {})
    for height, width in ((12, 16), (17, 13)):
        image = np.random.default_rng(0).uniform(0, 255, (1, 3, height, width)).astype(np.float32)
        got, wanted = session.run({"image": image})["restored"], onnxruntime(plan.graph.model, image)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * 255)


@pytest.mark.parametrize("case", [case for case in CASES if "Conv" in case.op], ids=str)
def test_int8_weights_are_near(case: Case, tmp_path: Path) -> None:
    graph, image = network(case), picture()
    wanted = onnxruntime(graph.model, image)
    got = evaluated(mil_program.Plan(graph, "int8-weights", "tensor"), image, tmp_path)
    assert psnr_db(got, wanted) >= 38.0
    kinds = [operation.type for operation in read(tmp_path / "tiny.mlpackage").operations]
    assert kinds.count("constexpr_affine_dequantize") == 3  # the head, the case, the tail


# ONNX infers a size for windows that begin in the padding which its own runtime does not give.
@pytest.mark.parametrize("case", [case for case in CASES if case not in BEYOND_THE_PICTURE], ids=str)
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
