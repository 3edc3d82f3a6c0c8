"""Core ML: sizes that are computed at run time, and int8 weights, saved, read back, and compared with ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.registry import missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export.coreml import package as coreml_package
from clearport.export.coreml import program as mil_program
from clearport.export.coreml.target import _description
from clearport.operators import table
from clearport.operators.case import Case, after_conv, f32, i64, one
from clearport.quantize import weight_only
from clearport.runtime.coreml_reference.program import read
from clearport.runtime.runners.milref import RUNNER

from ...operators.graphs import built, picture
from ..tflite.harness import RANGE, onnxruntime, real

if TYPE_CHECKING:
    from clearport.base import Array


def evaluated(plan: mil_program.Plan, image: Array, folder: Path) -> Array:
    """The result of the package that ``plan`` gives, saved and read back."""
    path = folder / "tiny.mlpackage"
    with mil_program.converted(plan) as model:
        coreml_package.write(model, _description(plan), path)
    return RUNNER.open(path, 1, {}).run({"image": image})["restored"]


def psnr_db(got: Array, wanted: Array) -> float:
    """PSNR with the spread of what is wanted as its peak."""
    return float(10 * np.log10(np.ptp(wanted) ** 2 / np.mean((got.astype(np.float64) - wanted) ** 2)))


def with_size_of_image(graph: Graph) -> Graph:
    """A free-size graph whose Resize goes to the height and width of the image, as F.interpolate(size=...) exports."""
    proto = graphs.to_proto(graph.model)
    (resized,) = (node for node in proto.graph.node if node.op_type == "Resize")
    resized.input[:] = ["y_small", "", "", "wanted"]
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1, 8]), "first"))
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
    node = one("Resize", "x  s", mode="linear", coordinate_transformation_mode=coordinates)
    graph = with_size_of_image(built(after_conv("resized", node, constants={"s": f32(1, 1, 1, 1)}), free=True))
    plan = mil_program.Plan(graph, "fp32", "tensor")
    assert plan.ios == 17
    same_for_every_size(plan, tmp_path)


def resized(mode: str, coordinates: str, *factors: float) -> Case:
    node = one("Resize", "x  s", mode=mode, coordinate_transformation_mode=coordinates, nearest_mode="floor")
    return after_conv("resized", node, constants={"s": f32(1, 1, *factors)})


FREE = {
    "linear to twice the size": resized("linear", "half_pixel", 2, 2),
    "linear to a third": resized("linear", "half_pixel", 1 / 3, 1 / 3),
    "nearest to a quarter": resized("nearest", "asymmetric", 0.25, 0.25),
    "ceil_mode": after_conv("ceil", one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    "ceil_mode, windows that begin in the padding": after_conv(
        "beyond", one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[1] * 4, ceil_mode=1)
    ),
    "mean of all": after_conv("mean", one("ReduceMean", "x a"), constants={"a": i64(2, 3)}),
    "by the mean": after_conv("by the mean", ("GlobalAveragePool", "x", "g", {}), one("Mul", "x g")),
    "reflected": after_conv(
        "reflected", one("Pad", "x p", mode="reflect"), constants={"p": i64(0, 0, 2, 2, 0, 0, 2, 2)}
    ),
}


@pytest.mark.parametrize("what", FREE)
def test_free_sizes(what: str, tmp_path: Path) -> None:
    same_for_every_size(mil_program.Plan(built(FREE[what], free=True, followed=True), "fp32", "tensor"), tmp_path)


def same_for_every_size(plan: mil_program.Plan, folder: Path) -> None:
    """The package of ``plan`` gives what ONNX Runtime gives, whatever the size."""
    path = folder / "tiny.mlpackage"
    with mil_program.converted(plan) as model:
        coreml_package.write(model, _description(plan), path)
    session = RUNNER.open(path, 1, {})
    for height, width in ((12, 16), (17, 13)):
        image = np.random.default_rng(0).uniform(*RANGE, (1, 3, height, width)).astype(np.float32)
        got, wanted = session.run({"image": image})["restored"], onnxruntime(plan.graph.model, image)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * RANGE[1])


CONVOLUTIONS = {
    case.name: case for record in table.operators().values() if record.kind == "convolution" for case in record.cases
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_int8_weights_are_near(name: str, tmp_path: Path) -> None:
    graph = built(CONVOLUTIONS[name], followed=True)
    image = real(picture(CONVOLUTIONS[name]))
    wanted = onnxruntime(graph.model, image)
    rounded = weight_only.quantize(graph, [])
    got = evaluated(mil_program.Plan(rounded.graph, "int8-weights", "tensor", rounded.table), image, tmp_path)
    assert psnr_db(got, wanted) >= 38.0
    kinds = [operation.type for operation in read(tmp_path / "tiny.mlpackage").operations]
    layers = [node for node in graph.model.graph if table.of(node).kind == "convolution"]
    assert kinds.count("constexpr_affine_dequantize") == len(layers) >= 2
