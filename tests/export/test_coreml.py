"""The Core ML target: what is written, what it says of itself, what it refuses, and that it is the same every time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper, numpy_helper

from clearport import graphs
from clearport.base import BadInput, Graph, Options, Target, TensorSpec, UnsupportedOperator
from clearport.files import digest
from clearport.registry import TARGETS, missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export import coreml_package, coreml_tools, mil_lowering, mil_program, mil_wide, passes
from clearport.quantize import flow
from clearport.runtime import pixels
from clearport.runtime.run_milref import RUNNER

if TYPE_CHECKING:
    from clearport.base import Array, Precision, QuantizedGraph

TARGET: Target = TARGETS.get("coreml")
PLAIN = flow.QuantizeOptions(equalisation=(0.0,), search=False, compensate=False)
RNG = np.random.default_rng(5)
WEIGHTS = {
    "w1": RNG.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float32),
    "b1": RNG.normal(0, 1, 8).astype(np.float32),
    "w2": RNG.normal(0, 0.2, (12, 8, 3, 3)).astype(np.float32),
    "b2": RNG.normal(40, 20, 12).astype(np.float32),
}


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, Array], spec: TensorSpec, scale: int = 1) -> Graph:
    """A checked graph from ``image`` to ``restored``."""
    body = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, list(spec.shape))],
        [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, [1, "C", "OH", "OW"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = ir.from_proto(helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    result = replace(spec, name="restored", shape=tuple(n * scale if isinstance(n, int) else n for n in spec.shape))
    return graphs.check(Graph(model, spec, replace(result, shape=(1, 3, *result.shape[2:])), "tiny", scale))


def upscaler(value_range: tuple[float, float] = (0.0, 255.0), free: bool = False, mode: str = "DCR") -> Graph:
    """Two convolutions, depth to space by 2, and a clip to the range."""
    low, high = value_range
    step = (high - low) / 255
    constants = {
        **WEIGHTS,
        "b1": WEIGHTS["b1"] * step - low * WEIGHTS["w1"].sum((1, 2, 3)),
        "b2": WEIGHTS["b2"] * step + low,
        "low": np.float32(low),
        "high": np.float32(high),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["x1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["x1"], ["x2"], "relu"),
        helper.make_node("Conv", ["x2", "w2", "b2"], ["x3"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["x3"], ["x4"], "shuffle", blocksize=2, mode=mode),
        helper.make_node("Clip", ["x4", "low", "high"], ["restored"], "clip"),
    ]
    sides: list[Any] = ["H", "W"] if free else [10, 14]
    return graph_of(nodes, constants, TensorSpec("image", (1, 3, *sides), value_range=value_range), 2)


def quantized(graph: Graph) -> QuantizedGraph:
    return flow.quantize(passes.run(graph), [photo(14, 10), photo(14, 10, seed=1)], PLAIN)


def photo(width: int, height: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def onnxruntime(graph: Graph, image: Array) -> Array:
    import onnxruntime as ort

    session = ort.InferenceSession(graphs.to_proto(graph.model).SerializeToString(), providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {"image": image})[0]
    return result


def specification(path: Path) -> Any:
    coreml_tools.load()
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString((path / coreml_package.MODEL).read_bytes())


@pytest.mark.parametrize(
    ("precision", "ios", "version"), [("fp32", 15, 6), ("fp16", 15, 6), ("int8-weights", 16, 7), ("int8", 17, 8)]
)
def test_both_variants_are_written_and_described(precision: Precision, ios: int, version: int, tmp_path: Path) -> None:
    graph = upscaler()
    whole = quantized(graph) if precision == "int8" else None
    tensor, image = TARGET.lower(graph, whole, precision, Options(), tmp_path)
    assert (tensor.key, image.key) == (f"coreml/{precision}/tensor", f"coreml/{precision}/image")
    assert tensor.path == tmp_path / f"tiny_x2_{precision}_tensor.mlpackage"
    assert tensor.inputs[0] == graph.input
    assert (image.inputs[0].shape, image.inputs[0].dtype, image.inputs[0].layout) == ((1, 10, 14, 3), "uint8", "NHWC")
    assert (image.outputs[0].shape, image.outputs[0].value_range) == ((1, 20, 28, 3), (0.0, 255.0))
    for artifact in (tensor, image):
        spec = specification(artifact.path)
        facts = spec.description.metadata.userDefined
        assert spec.specificationVersion == version
        assert facts["clearport.minimum_deployment_target"] == f"iOS{ios}"
        assert (facts["clearport.scale"], facts["clearport.precision"]) == ("2", precision)
        assert ("Neural Engine" in facts["clearport.note"]) == (precision in {"fp32", "int8"})
        assert artifact.sha256 == digest(artifact.path)
        assert artifact.tool_versions["coremltools"]
        assert spec.description.input[0].shortDescription.startswith("what to restore")


def test_a_network_of_the_zoo_names_its_paper_and_licence(tmp_path: Path) -> None:
    artifact = TARGET.lower(replace(upscaler(), spec_name="ncnet"), None, "fp16", Options(), tmp_path)[0]
    shown = specification(artifact.path).description.metadata
    assert "https://arxiv.org/abs/2208.11609" in shown.author
    assert shown.license == "Apache-2.0"
    assert "super-resolution" in shown.shortDescription


@pytest.mark.parametrize("free", [False, True])
def test_pictures_are_rgb_at_both_ends(free: bool, tmp_path: Path) -> None:
    path = TARGET.lower(upscaler(free=free), None, "fp16", Options(), tmp_path)[1].path
    source, result = specification(path).description.input[0].type, specification(path).description.output[0].type
    for kind in (source, result):
        assert kind.WhichOneof("Type") == "imageType"
        assert kind.imageType.ColorSpace.Name(kind.imageType.colorSpace) == "RGB"
    if free:
        sides = source.imageType.imageSizeRange
        assert (sides.heightRange.lowerBound, sides.widthRange.upperBound) == (1, 4096)
        assert result.imageType.imageSizeRange.heightRange.upperBound == -1
    else:
        assert (source.imageType.height, source.imageType.width) == (10, 14)
        assert (result.imageType.height, result.imageType.width) == (20, 28)


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)], ids=str)
@pytest.mark.parametrize(("precision", "most"), [("fp32", 0), ("fp16", 1)])
def test_pictures_come_out_as_tensors_do(
    precision: Precision, most: int, value_range: tuple[float, float], tmp_path: Path
) -> None:
    graph, photograph = upscaler(value_range), photo(14, 10)
    wanted = pixels.to_image(onnxruntime(graph, pixels.to_tensor(photograph, graph.input)), graph.output)
    for artifact in TARGET.lower(graph, None, precision, Options(), tmp_path):
        given = {"image": pixels.to_tensor(photograph, artifact.inputs[0])}
        result = RUNNER.open(artifact.path, 1, {}).run(given)["restored"]
        got = pixels.to_image(result, artifact.outputs[0])
        assert np.ptp(got) > 100
        assert np.abs(got.astype(int) - wanted).max() <= most


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0)], ids=str)
def test_int8_pictures_enter_exactly_and_leave_saturated(value_range: tuple[float, float], tmp_path: Path) -> None:
    graph, photograph = upscaler(value_range), photo(14, 10)
    tensor, image = TARGET.lower(graph, quantized(graph), "int8", Options(), tmp_path)
    results = []
    for artifact in (tensor, image):
        given = {"image": pixels.to_tensor(photograph, artifact.inputs[0])}
        session = RUNNER.open(artifact.path, 1, {})
        results.append(pixels.to_image(session.run(given)["restored"], artifact.outputs[0]))
        assert not {"clip", "relu"} & session.facts()["operators"].keys()
    np.testing.assert_array_equal(*results)
    wanted = pixels.to_image(onnxruntime(graph, pixels.to_tensor(photograph, graph.input)), graph.output)
    assert np.abs(results[0].astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_free_sizes(precision: Precision, tmp_path: Path) -> None:
    graph = upscaler(free=True)
    whole = quantized(graph) if precision == "int8" else None
    for artifact in TARGET.lower(graph, whole, precision, Options(size=None), tmp_path):
        assert artifact.inputs[0].dynamic
        session = RUNNER.open(artifact.path, 1, {})
        assert "free input size" in session.facts()["metadata"]["clearport.note"]
        for width, height in ((9, 17), (1, 1)):
            given = pixels.to_tensor(photo(width, height), artifact.inputs[0])
            got = pixels.to_image(session.run({"image": given})["restored"], artifact.outputs[0])
            wanted = onnxruntime(graph, pixels.to_tensor(photo(width, height), graph.input))
            assert got.shape == (2 * height, 2 * width, 3)
            if precision == "fp32":
                np.testing.assert_array_equal(got, pixels.to_image(wanted, graph.output))


@pytest.mark.parametrize(("mode", "operation"), [("DCR", "depth_to_space"), ("CRD", "pixel_shuffle")])
def test_each_channel_order_has_its_operation(mode: str, operation: str, tmp_path: Path) -> None:
    """depth_to_space is TensorFlow's order (coremltools' TensorFlow front end maps it so), pixel_shuffle PyTorch's."""
    graph, image = upscaler(mode=mode), RNG.uniform(0, 255, (1, 3, 10, 14)).astype(np.float32)
    session = RUNNER.open(TARGET.lower(graph, None, "fp32", Options(), tmp_path)[0].path, 1, {})
    assert operation in session.facts()["operators"]
    np.testing.assert_allclose(session.run({"image": image})["restored"], onnxruntime(graph, image), atol=1e-3)


ELSEWHERE = """
import json, runpy, sys
from pathlib import Path
script, folder = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, str(folder))
here = runpy.run_path(script)
graph = here["upscaler"](free=True)
lower, whole, options = here["TARGET"].lower, here["quantized"](graph), here["Options"]()
made = [artifact for p in ("fp16", "int8") for artifact in lower(graph, whole, p, options, folder)]
print(json.dumps([artifact.sha256 for artifact in made]))
assert "tensorflow" not in sys.modules
import tensorflow  # it is there for whoever asks for it afterwards
"""


@pytest.fixture(scope="module")
def printed_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What another process prints that lowers the same graph, with another hash seed and a TensorFlow installed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text("print('tensorflow was imported')\n__version__ = '2.21.0'\n")
    command = [sys.executable, "-c", ELSEWHERE, __file__, str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_same_graph_gives_the_same_bytes_in_any_process(
    printed_elsewhere: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    graph = upscaler(free=True)
    here = [a for p in ("fp16", "int8") for a in TARGET.lower(graph, quantized(graph), p, Options(), tmp_path)]
    digests = [artifact.sha256 for artifact in here]
    assert json.loads(printed_elsewhere.stdout.splitlines()[0]) == digests
    assert len(set(digests)) == 4


def test_conversion_prints_nothing_and_does_not_import_tensorflow(
    printed_elsewhere: subprocess.CompletedProcess[str],
) -> None:
    assert printed_elsewhere.stderr == ""
    assert printed_elsewhere.stdout.splitlines()[1:] == ["tensorflow was imported"]


def test_the_manifest_leads_to_the_files(tmp_path: Path) -> None:
    path = TARGET.lower(upscaler(), None, "fp32", Options(), tmp_path)[0].path
    manifest = json.loads((path / "Manifest.json").read_text())
    assert manifest["fileFormatVersion"] == "1.0.0"
    assert manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] == "com.apple.CoreML/model.mlmodel"
    assert all((path / "Data" / item["path"]).exists() for item in manifest["itemInfoEntries"].values())


def test_a_package_replaces_an_older_one_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    first = TARGET.lower(upscaler(), None, "fp32", Options(), tmp_path)[0]
    (first.path / "stale").write_text("from an older version")
    second = TARGET.lower(upscaler(), None, "fp32", Options(), tmp_path)[0]
    assert second.sha256 == first.sha256 == digest(second.path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"tiny_x2_fp32_{v}.mlpackage" for v in ("image", "tensor")]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/tiny_x2_fp32_tensor\.mlpackage: "):
        TARGET.lower(upscaler(), None, "fp32", Options(), tmp_path / "file")


def test_int8_without_a_table_is_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quantized graph"):
        TARGET.lower(upscaler(), None, "int8", Options(), tmp_path)


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
    "there is no rule": lambda: lone("Softplus"),
    "auto_pad": lambda: lone("Conv", "w", constants=KERNEL, auto_pad="SAME_UPPER"),
    "no dilation": lambda: lone("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]),
    "ceil_mode takes even": lambda: lone(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1
    ),
    "not defined for ceil_mode": lambda: lone(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, count_include_pad=1
    ),
    "mode 'wrap'": lambda: lone("Pad", "p", constants={"p": numbers(0, 0, 1, 1, 0, 0, 1, 1)}, mode="wrap"),
    "height and width only": lambda: lone(
        "Pad", "p", constants={"p": numbers(0, 1, 1, 1, 0, 0, 1, 1)}, mode="edge"
    ),
    "has 3 inputs": lambda: lone("Max", "c", "c", constants={"c": np.ones(1, np.float32)}),
    "one for each of": lambda: lone("LayerNormalization", "c", constants={"c": np.ones(1, np.float32)}),
    "negative pads": lambda: lone("Pad", "p", constants={"p": numbers(0, 0, -1, 0, 0, 0, 0, 0)}),
    "must be positive": lambda: lone("Slice", "s", "e", "a", "t", constants={
        "s": numbers(7), "e": numbers(0), "a": numbers(2), "t": numbers(-1)}),
    "mode 'cubic'": lambda: lone("Resize", "roi", "by", constants=TWICE, mode="cubic"),
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
    "fits one size of the picture only": lambda: lone(
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


REFUSED |= {"has 6 axes": many_axes, "depends on the size of the picture": square}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_lowered_is_told_by_operator_layer_and_reason(why: str, tmp_path: Path) -> None:
    graph = REFUSED[why]()
    with pytest.raises(UnsupportedOperator, match=rf"^coreml: cannot take operator \w+ of layer 'lone': .*{why}"):
        TARGET.lower(graph, None, "fp32", Options(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_beyond_half_precision_are_refused() -> None:
    graph = lone("Mul", "c", constants={"c": np.float32([[[1e6]]])})
    assert mil_program.convert(mil_program.Plan(graph, "fp32", "tensor")) is not None
    with pytest.raises(UnsupportedOperator, match="does not fit float16"):
        mil_program.convert(mil_program.Plan(graph, "fp16", "tensor"))


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
    "beyond its digits": (chain(("Add", 4000.0), ("Sub", 4000.0)), r"1 Add, 1 Sub .* fall 1\d\.\d dB short"),
    "in any size": (chain(("Mul", 1e6), ("Div", 2e6), free=True), "1 Div, 1 Mul .* does not hold"),
}


@pytest.mark.parametrize("precision", ["fp16", "int8-weights"])
@pytest.mark.parametrize("what", TOO_MUCH_FOR_HALF)
def test_what_half_precision_cannot_do_computes_in_float32(what: str, precision: Precision, tmp_path: Path) -> None:
    graph, said = TOO_MUCH_FOR_HALF[what]
    photograph = photo(80, 96)
    wanted = onnxruntime(graph, pixels.to_tensor(photograph, graph.input))
    tensor, image = TARGET.lower(graph, None, precision, Options(), tmp_path)
    session = RUNNER.open(tensor.path, 1, {})
    assert re.search(said, session.facts()["metadata"]["clearport.float32_operators"])
    got = session.run({"image": pixels.to_tensor(photograph, tensor.inputs[0])})["restored"]
    # What is left is the rounding of image and result to 11 bits: up to 1/16 of a level each above 128.
    assert np.abs(got - wanted).max() <= 0.13
    levels = RUNNER.open(image.path, 1, {}).run({"image": photograph[None]})["restored"]
    assert np.abs(levels[0].astype(int) - pixels.to_image(wanted, graph.output)).max() <= 1


def test_what_half_precision_can_do_stays_in_it(tmp_path: Path) -> None:
    graph = upscaler()
    assert mil_wide.choose(graph) == mil_wide.NOTHING
    path = TARGET.lower(graph, None, "fp16", Options(), tmp_path)[0].path
    assert RUNNER.open(path, 1, {}).facts()["executed_precision"] == "float16"
    assert "clearport.note" not in RUNNER.open(path, 1, {}).facts()["metadata"]


@given(arrays(np.float64, (2, 3, 3, 3), elements=st.floats(-120, 120)))
def test_rounded_weights_keep_the_sum_of_each_kernel(steps: Array) -> None:
    kept = mil_lowering.keep_sums(steps)
    np.testing.assert_array_equal(kept, np.rint(kept))
    assert np.abs(kept - steps).max() <= 1.0
    assert np.abs((kept - steps).sum(axis=(2, 3))).max() <= 0.5 + 1e-9


def test_rounding_keeps_what_is_whole_and_single_taps() -> None:
    whole = np.arange(-27.0, 27.0).reshape(2, 3, 3, 3)
    single = np.array([0.4, -0.4, 0.6, 126.9]).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(mil_lowering.keep_sums(whole), whole)
    np.testing.assert_array_equal(mil_lowering.keep_sums(single), np.rint(single))


def test_the_plan_takes_the_lowest_ios_that_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = mil_program.Plan(upscaler(), "fp16", "tensor")
    assert plan.ios == 15
    later = {**mil_program.FIRST_IOS, "fp16": 18}
    monkeypatch.setattr(mil_program, "FIRST_IOS", later)
    assert plan.ios == 18
