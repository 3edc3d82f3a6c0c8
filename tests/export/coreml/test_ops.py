"""Every operator that Core ML has a rule for: lowered, saved, read back, and compared with ONNX Runtime.

Each case is a small network: a convolution of the image, the operator, and a convolution to the result.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Graph, TensorSpec
from clearport.graph import nodes as graphs
from clearport.registry import missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export.coreml import package as coreml_package
from clearport.export.coreml import program as mil_program
from clearport.export.coreml.target import _description
from clearport.export.passes import order as passes
from clearport.operators import table
from clearport.quantize import flow, qdq, weight_only
from clearport.runtime.coreml_reference.program import read
from clearport.runtime.runners.milref import RUNNER

from .cases import BEYOND_THE_PICTURE, CASES, GIVEN, HEIGHT, WIDE, WIDTH, Case, ints, sampled, scales, weights

if TYPE_CHECKING:
    from clearport.base import Array, QuantizedGraph

PLAIN = flow.QuantizeOptions(equalisation=(0.0,), search=False, compensate=False)


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
        Graph(model, (source,), (TensorSpec("restored", (1, 3, "OH", "OW"), value_range=value_range),), "tiny", 1)
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


WITH_RULE = {name for name, record in table.operators().items() if record.mil is not None}


def test_every_rule_has_a_case() -> None:
    assert {case.op for case in CASES} == WITH_RULE - {"Identity", "Shape"}  # Shape: test_sizes_that_are_computed


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
    rounded = weight_only.quantize(graph, [])
    got = evaluated(mil_program.Plan(rounded.graph, "int8-weights", "tensor", rounded.table), image, tmp_path)
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
