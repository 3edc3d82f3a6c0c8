"""The Core ML target: refusals with reasons, and operators that stay float32 in fp16 files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from clearport.base import Graph, Options, Size, TensorSpec
from clearport.errors import UnsupportedOperator
from clearport.export.written import target_graph
from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.pictures.probe import probe_picture
from clearport.registry import missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export.coreml import fp32_fallback
from clearport.export.coreml import program as mil_program
from clearport.export.trial_pictures import small
from clearport.runtime import pixels
from clearport.runtime.runners.milref import RUNNER

from .harness import TARGET, graph_of, onnxruntime, photo, quantized, upscaler

if TYPE_CHECKING:
    from clearport.base import Array, Precision


def lone(
    op: str, *operands: str, constants: dict[str, Array] | None = None, free: bool = False, **attributes: Any
) -> Graph:
    """A graph of one node called ``lone``."""
    node = helper.make_node(op, ["image", *operands], ["restored"], "lone", **attributes)
    sides: list[Any] = ["H", "W"] if free else [8, 8]
    return graph_of([node], constants or {}, TensorSpec("image", (1, 3, *sides)))


def numbers(*given: float, dtype: type = np.int64) -> Array:
    return np.array(given, dtype)


DEEPER = {"roi": numbers(dtype=np.float32), "by": numbers(1, 2, 1, 1, dtype=np.float32)}
TWICE = {"roi": numbers(dtype=np.float32), "by": numbers(1, 1, 2, 2, dtype=np.float32)}
LARGER = {"roi": numbers(dtype=np.float32), "by": numbers(1, 1, 1.5, 1.5, dtype=np.float32)}
KERNEL = {"w": np.ones((3, 3, 2, 2), np.float32)}
REFUSED = {
    "no conversion rule": lambda: lone("Softplus"),
    "auto_pad": lambda: lone("Conv", "w", constants=KERNEL, auto_pad="SAME_UPPER"),
    "no dilation": lambda: lone("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]),
    "ceil_mode needs symmetric": lambda: lone(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1
    ),
    "does not define the divisor": lambda: lone(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, count_include_pad=1
    ),
    "mode 'wrap'": lambda: lone("Pad", "p", constants={"p": numbers(0, 0, 1, 1, 0, 0, 1, 1)}, mode="wrap"),
    "height and width only": lambda: lone(
        "Pad", "p", constants={"p": numbers(0, 1, 1, 1, 0, 0, 1, 1)}, mode="edge"
    ),
    "has 3 inputs": lambda: lone("Max", "c", "c", constants={"c": np.ones(1, np.float32)}),
    "one for each of": lambda: lone("LayerNormalization", "c", constants={"c": np.ones(1, np.float32)}),
    "negative pads": lambda: lone("Pad", "p", constants={"p": numbers(0, 0, -1, 0, 0, 0, 0, 0)}),
    "cubic with these factors needs a fixed size": lambda: lone(
        "Resize", "roi", "by", constants=TWICE, mode="cubic", free=True
    ),
    "'tf_crop_and_resize' coordinates": lambda: lone(
        "Resize", "roi", "by", constants=TWICE, mode="linear", coordinate_transformation_mode="tf_crop_and_resize"
    ),
    "only height and width": lambda: lone("Resize", "roi", "by", constants=DEEPER),
    "output_padding": lambda: lone(
        "ConvTranspose", "w", constants=KERNEL, strides=[2, 2], output_padding=[1, 1]
    ),
    "needs a fixed size: export it for one size": lambda: lone(
        "Resize", "roi", "by", constants=LARGER, mode="linear", free=True
    ),
    "fits one input size only": lambda: lone(
        "Reshape", "s", constants={"s": numbers(1, 3, 4, 16)}, free=True
    ),
    "one per channel": lambda: lone("PRelu", "s", constants={"s": np.ones((3, 8, 8), np.float32)}),
}  # fmt: skip


def many_axes() -> Graph:
    """The image given two more axes, which are taken away again."""
    nodes = [
        helper.make_node("Unsqueeze", ["image", "axes"], ["x"], "lone"),
        helper.make_node("Squeeze", ["x", "axes"], ["restored"], "back"),
    ]
    return graph_of(nodes, {"axes": numbers(0, 1)}, TensorSpec("image", (1, 3, 8, 8)))


def square() -> Graph:
    """As many columns as the image has rows."""
    nodes = [
        helper.make_node("Shape", ["image"], ["height"], "height", start=2, end=3),
        helper.make_node("Slice", ["image", "first", "height", "axis"], ["restored"], "lone"),
    ]
    constants = {"first": numbers(0), "axis": numbers(3)}
    return graph_of(nodes, constants, TensorSpec("image", (1, 3, "H", "W")))


REFUSED |= {"has rank 6": many_axes, "depends on the input size": square}


@pytest.mark.parametrize("why", REFUSED)
def test_unsupported_operators_are_reported_with_layer_and_reason(why: str, tmp_path: Path) -> None:
    graph = REFUSED[why]()
    with pytest.raises(UnsupportedOperator, match=rf"^coreml: unsupported operator \w+ of layer 'lone': .*{why}"):
        TARGET.lower(target_graph(graph, None, "fp32"), Options(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_beyond_half_precision_are_refused() -> None:
    graph = lone("Mul", "c", constants={"c": np.float32([[[1e6]]])})
    with mil_program.converted(mil_program.Plan(graph, "fp32", "tensor")) as model:
        assert model is not None
    with (
        pytest.raises(UnsupportedOperator, match="does not fit float16"),
        mil_program.converted(mil_program.Plan(graph, "fp16", "tensor")),
    ):
        pytest.fail("it was converted")


def chain(*steps: tuple[str, float], free: bool = False) -> Graph:
    """The image, one operator with a constant after the other, and a clip."""
    constants = {f"c{i}": np.float32(number) for i, (_, number) in enumerate(steps)}
    constants |= {"low": np.float32(0), "high": np.float32(255)}
    names = ["image", *(f"x{i}" for i in range(len(steps)))]
    nodes = [
        helper.make_node(op, [names[i], f"c{i}"], [names[i + 1]], f"{op.lower()}{i}") for i, (op, _) in enumerate(steps)
    ]
    nodes.append(helper.make_node("Clip", [names[-1], "low", "high"], ["restored"], "clip"))
    sides: list[Any] = ["H", "W"] if free else [96, 80]
    return graph_of(nodes, constants, TensorSpec("image", (1, 3, *sides)))


TOO_MUCH_FOR_HALF = {
    "beyond its range": (chain(("Mul", 1e6), ("Div", 2e6)), "1 Div, 1 Mul .* does not hold"),
    "beyond its digits": (
        chain(("Add", 4000.0), ("Sub", 4000.0)),
        r"1 Add, 1 Sub .* would be 1\d\.\d dB below the requirement",
    ),
    "in any size": (chain(("Mul", 1e6), ("Div", 2e6), free=True), "1 Div, 1 Mul .* does not hold"),
}


@pytest.mark.parametrize("precision", ["fp16", "int8-weights"])
@pytest.mark.parametrize("what", TOO_MUCH_FOR_HALF)
def test_operators_beyond_half_precision_compute_in_float32(what: str, precision: Precision, tmp_path: Path) -> None:
    graph, said = TOO_MUCH_FOR_HALF[what]
    photograph = photo(80, 96)
    wanted = onnxruntime(graph, pixels.to_tensor(photograph, graph.input))
    tensor, image = TARGET.lower(target_graph(graph, quantized(graph, precision), precision), Options(), tmp_path)
    session = RUNNER.open(tensor.path, 1, {})
    assert re.search(said, session.facts()["metadata"]["clearport.float32_operators"])
    got = session.run({"image": pixels.to_tensor(photograph, tensor.inputs[0])})["restored"]
    # What is left is the rounding of image and result to 11 bits: up to 1/16 of a level each above 128.
    assert np.abs(got - wanted).max() <= 0.13
    levels = RUNNER.open(image.path, 1, {}).run({"image": photograph[None]})["restored"]
    assert np.abs(levels[0].astype(int) - pixels.to_image(wanted, graph.output)).max() <= 1


def test_inputs_of_float32_operators_are_not_rounded_to_half(tmp_path: Path) -> None:
    """Ten times what lies above 100: float16 keeps sixteenths there, which would become six tenths."""
    graph = chain(("Mul", 1e6), ("Sub", 1e8), ("Div", 1e5))
    image = np.random.default_rng(0).uniform(95, 120, (1, 3, 96, 80)).astype(np.float32)
    tensor = TARGET.lower(target_graph(graph, None, "fp16"), Options(), tmp_path)[0]
    got = RUNNER.open(tensor.path, 1, {}).run({"image": image})["restored"]
    assert np.abs(got - onnxruntime(graph, image)).max() <= 0.07  # half of float16's step of the result, 1/8 above 128


def test_outputs_that_are_not_images_keep_their_own_deviation(tmp_path: Path) -> None:
    """Numbers about 0.5 that differ by hundredths: float16 itself would leave 37 dB of their deviation."""
    graph = chain(("Mul", 1 / 10000), ("Add", 0.5))
    spec = replace(graph.output, kind="map", value_range=None)
    graph = replace(graph, outputs=(spec,))
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 96, 80)).astype(np.float32)
    tensor = TARGET.lower(target_graph(graph, None, "fp16"), Options(), tmp_path)[0]
    got, wanted = RUNNER.open(tensor.path, 1, {}).run({"image": image})["restored"], onnxruntime(graph, image)
    assert 20 * np.log10(wanted.std() / np.sqrt(np.square(got - wanted).mean())) > 40


def test_places_to_sample_stay_in_float32(tmp_path: Path) -> None:
    """Core ML takes them in float32 alone, and float16 would move them by parts of a pixel."""
    bounds = {name: np.array([place]) for name, place in (("start", 0), ("end", 2), ("axis", 1))}
    nodes = [
        helper.make_node("Mul", ["image", "k"], ["near"]),
        helper.make_node("Slice", ["near", "start", "end", "axis"], ["two"]),
        helper.make_node("Transpose", ["two"], ["grid"], perm=[0, 2, 3, 1]),
        helper.make_node("GridSample", ["image", "grid"], ["restored"], padding_mode="border"),
    ]
    graph = graph_of(nodes, {"k": np.float32(1 / 300), **bounds}, TensorSpec("image", (1, 3, 96, 80)))
    image = np.random.default_rng(0).uniform(-255, 255, (1, 3, 96, 80)).astype(np.float32)
    tensor = TARGET.lower(target_graph(graph, None, "fp16"), Options(), tmp_path)[0]
    got = RUNNER.open(tensor.path, 1, {}).run({"image": image})["restored"]
    # The picture alone is rounded, to 11 bits: an eighth of a level at most, where a step of the places would be ten.
    assert np.abs(got - onnxruntime(graph, image)).max() <= 0.13


def test_what_is_decided_on_the_picture_is_decided_in_float32(tmp_path: Path) -> None:
    """Float16 would put numbers near a border on its other side: a whole step instead of a rounding."""
    nodes = [
        helper.make_node("Mul", ["image", "k"], ["many"]),
        helper.make_node("Floor", ["many"], ["steps"]),
        helper.make_node("ReduceMean", ["image", "axis"], ["gray"]),
        helper.make_node("Greater", ["gray", "half"], ["bright"]),
        helper.make_node("Where", ["bright", "steps", "k"], ["restored"]),
    ]
    held = {"k": np.float32(0.7), "half": np.float32(127.3), "axis": np.array([1])}
    graph = graph_of(nodes, held, TensorSpec("image", (1, 3, 96, 80)))
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 96, 80)).astype(np.float32)
    assert {"many", "steps", "gray", "bright"} <= fp32_fallback.choose(graph).names
    tensor = TARGET.lower(target_graph(graph, None, "fp16"), Options(), tmp_path)[0]
    got = RUNNER.open(tensor.path, 1, {}).run({"image": image})["restored"]
    assert np.abs(got - onnxruntime(graph, image)).max() <= 1e-3  # whole numbers, and 0.7 in 11 bits


def test_a_comparison_behind_a_convolution_is_in_float32_where_that_is_needed() -> None:
    """Its output is Boolean, what it compares is not: 128 pi is above the border, and in float16 it is equal."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["x"]),
        helper.make_node("Greater", ["x", "border"], ["large"]),
        helper.make_node("Where", ["large", "white", "black"], ["restored"]),
    ]
    weights = np.eye(3, dtype=np.float32)[:, :, None, None] * np.float32(np.pi)
    held = {"w": weights, "border": np.float32(402.05), "white": np.float32(255), "black": np.float32(0)}
    graph = graph_of(nodes, held, TensorSpec("image", (1, 3, 64, 64)))
    trial = fp32_fallback.Trial(graph)
    assert trial.margin_db(frozenset()) < 0
    assert {"x", "large"} <= fp32_fallback.choose(graph).names
    assert trial.margin_db(fp32_fallback.choose(graph).names) >= 0


def test_what_only_the_probe_shows_is_in_float32(tmp_path: Path) -> None:
    """A sigmoid less one half, as SPAN has it, keeps few bits; here only colors as strong as the probe's show it."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["color"]),
        helper.make_node("Mul", ["color", "small"], ["soft"]),
        helper.make_node("Sigmoid", ["soft"], ["share"]),
        helper.make_node("Sub", ["share", "half"], ["signed"]),
        helper.make_node("Pow", ["color", "power"], ["steep"]),
        helper.make_node("Mul", ["signed", "steep"], ["product"]),
        helper.make_node("Mul", ["product", "large"], ["much"]),
        helper.make_node("Add", ["image", "much"], ["restored"]),
    ]
    held = {"w": np.float32([[1, 0, -1]] * 3)[:, :, None, None] / 255, "small": np.float32(1 / 16)}
    held |= {"half": np.float32(0.5), "power": np.float32(8), "large": np.float32(25_000)}
    graph = graph_of(nodes, held, TensorSpec("image", (1, 3, 128, 192)))
    assert fp32_fallback.Trial(small(graph)).margin_db(frozenset()) > 3
    assert {"share", "signed"} <= fp32_fallback.choose(graph).names <= {"share", "signed", "much", "restored"}
    tensor = TARGET.lower(target_graph(graph, None, "fp16"), Options(), tmp_path)[0]
    image = feeds.feed_of(graph.inputs, feeds.sample_of(graph.inputs, probe_picture(Size(128, 192))))["image"]
    got = RUNNER.open(tensor.path, 1, {}).run({"image": image})["restored"]
    assert np.abs(got - onnxruntime(graph, image)).max() <= 3


def test_operators_within_half_precision_compute_in_it(tmp_path: Path) -> None:
    graph = upscaler()
    assert fp32_fallback.choose(graph) == fp32_fallback.NOTHING
    path = TARGET.lower(target_graph(graph, None, "fp16"), Options(), tmp_path)[0].path
    assert RUNNER.open(path, 1, {}).facts()["executed_precision"] == "float16"
    assert "clearport.note" not in RUNNER.open(path, 1, {}).facts()["metadata"]


def test_the_plan_takes_the_lowest_ios_that_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = mil_program.Plan(upscaler(), "fp16", "tensor")
    assert plan.ios == 15
    later = {**mil_program.FIRST_IOS, "fp16": 18}
    monkeypatch.setattr(mil_program, "FIRST_IOS", later)
    assert plan.ios == 18


def test_a_network_with_only_class_indices_is_tried_in_half_precision() -> None:
    """Its whole numbers are judged by the share that differs: there is no picture and no signal."""
    node = helper.make_node("ArgMax", ["image"], ["classes"], "classes", axis=1, keepdims=0)
    ends = [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 8, 8])]
    ends += [helper.make_tensor_value_info("classes", onnx.TensorProto.INT64, [1, 8, 8])]
    opset = [helper.make_opsetid("", graphs.OPSET)]
    proto = helper.make_model(helper.make_graph([node], "one", ends[:1], ends[1:]), opset_imports=opset, ir_version=10)
    classes = TensorSpec("classes", (1, 8, 8), dtype="int64", kind="index")
    graph = Graph(ir.from_proto(proto), (TensorSpec("image", (1, 3, 8, 8)),), (classes,), "one", 1)
    assert fp32_fallback.Trial(graphs.check(graph)).margin_db(frozenset()) >= 0
