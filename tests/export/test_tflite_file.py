"""The .tflite file as a whole: ends, sizes, metadata, signature, buffers, determinism, and what cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport import graphs
from clearport.base import (
    BadInput,
    Graph,
    IODType,
    Options,
    Precision,
    QParams,
    QuantizedGraph,
    ScaleTable,
    Size,
    Skipped,
    TensorSpec,
    UnsupportedOperator,
)
from clearport.export import lint_nnapi, tflite_metadata, tflite_versions
from clearport.export.tflite_file import FlatFile, Quant
from clearport.export.to_tflite import TARGET, emit
from clearport.runtime.tflite_session import TfliteSession

SIZE = Size(6, 8)
BLOCK = 2


def graph_of(height: int | str = 6, width: int | str = 8, big: float = 1.0) -> Graph:
    """A tiny super-resolver: conv, relu, conv, add of itself through a 1x1 conv, clip, depth to space."""
    rng = np.random.default_rng(0)
    constants = {
        "w1": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "b1": rng.normal(0, 5, 8),
        "w2": rng.normal(0, 0.1, (12, 8, 3, 3)) * big,
        "b2": np.zeros(12),
        "w3": np.tile(np.eye(3), (4, 1)).reshape(12, 3, 1, 1),
        "b3": np.zeros(12),
        "lo": np.array(0),
        "hi": np.array(255),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["image", "w1", "b1"], ["a"], name="head", pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["r"], name="act"),
        make("Conv", ["r", "w2", "b2"], ["c"], name="tail", pads=[1, 1, 1, 1]),
        make("Conv", ["image", "w3", "b3"], ["n"], name="nearest"),
        make("Add", ["c", "n"], ["s"], name="sum"),
        make("Clip", ["s", "lo", "hi"], ["k"], name="clip"),
        make("DepthToSpace", ["k"], ["restored"], name="shuffle", blocksize=BLOCK, mode="DCR"),
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()]
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, (1, 3, height, width))
    restored = onnx.helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, None)
    proto = onnx.helper.make_graph(nodes, "tiny", [image], [restored], tensors)
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    spec = TensorSpec("image", (1, 3, height, width))
    graph = Graph(ir.from_proto(onnx.shape_inference.infer_shapes(model)), spec, spec, "tiny", BLOCK)
    return graphs.check(replace(graph, output=replace(spec, name="restored")))


def quantized_of(graph: Graph) -> QuantizedGraph:
    """The same without clamps, with scales by hand."""
    copy = graphs.clone(graph)
    for node in list(copy.model.graph):
        if node.op_type in {"Relu", "Clip"}:
            ir.convenience.replace_all_uses_with(node.outputs[0], node.inputs[0])
            copy.model.graph.remove(node)
    entries = {
        "image": QParams((1.0,), -128),
        "a": QParams((1.5,), -128),
        "c": QParams((2.0,), 3),
        "n": QParams((1.0,), -128),
        "s": QParams((1.0,), -128),
        "restored": QParams((1.0,), -128),
    }
    for w, b, source in (("w1", "b1", "image"), ("w2", "b2", "a"), ("w3", "b3", "image")):
        array = graphs.constant(copy.model.graph.initializers[w])
        assert array is not None
        scales = tuple(float(np.float32(p / 127)) for p in np.abs(array).reshape(len(array), -1).max(1))
        entries[w] = QParams(scales, 0, "int8", 0)
        entries[b] = QParams(tuple(entries[source].scale[0] * s for s in scales), 0, "int32", 0)
    return QuantizedGraph(copy, ScaleTable(entries))


def run(data: bytes, image: np.ndarray) -> np.ndarray:
    return TfliteSession(Interpreter(model_content=data, num_threads=1)).run({"image": image})["restored"]


def picture(size: Size = SIZE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (1, size.height, size.width, 3)).astype(np.uint8)


def written(precision: Precision, io: IODType = "float32", size: Size | None = SIZE) -> tuple[bytes, Any, Any]:
    graph = graph_of() if size else graph_of("H", "W")
    return emit(graph, quantized_of(graph), precision, Options(size, io))


def model_of(data: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(data)


KINDS: tuple[tuple[Precision, IODType], ...] = (
    ("fp32", "float32"),
    ("fp16", "float32"),
    ("int8", "uint8"),
    ("int8", "int8"),
    ("int8", "float32"),
)


def test_the_three_ends_of_an_int8_file_agree() -> None:
    pixels = picture()
    uint8 = run(written("int8", "uint8")[0], pixels)
    int8 = run(written("int8", "int8")[0], (pixels.astype(int) - 128).astype(np.int8))
    real = run(written("int8", "float32")[0], pixels.astype(np.float32))
    assert (uint8.dtype, int8.dtype, real.dtype) == (np.uint8, np.int8, np.float32)
    np.testing.assert_array_equal(uint8, int8.astype(int) + 128)
    np.testing.assert_array_equal(uint8, real)


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_the_same_graph_gives_the_same_bytes(precision: Precision, io: IODType) -> None:
    assert written(precision, io)[0] == written(precision, io)[0]


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_a_file_of_free_size_runs_at_every_size(precision: Precision, io: IODType) -> None:
    data, source, result = written(precision, io, None)
    assert source.shape == (1, "H", "W", 3)
    assert result.shape == (1, "2*H", "2*W", 3)
    session = TfliteSession(Interpreter(model_content=data, num_threads=1))
    for size in (SIZE, Size(31, 17), Size(1, 1), SIZE):
        given = session.run({"image": picture(size).astype(source.dtype)})["restored"]
        assert given.shape == (1, BLOCK * size.height, BLOCK * size.width, 3)
    fixed = run(written(precision, io)[0], picture().astype(source.dtype))
    np.testing.assert_allclose(given, fixed, atol=1e-3)


def test_a_file_of_free_size_runs_unasked() -> None:
    interpreter = Interpreter(model_content=written("int8", "uint8", None)[0], num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_input_details()[0]["shape_signature"].tolist() == [1, -1, -1, 3]


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_quantize_and_dequantize_stand_at_the_ends_only(precision: Precision, io: IODType) -> None:
    model = model_of(written(precision, io)[0])
    graph = model.subgraphs[0]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    ops = [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in graph.operators]
    if precision == "int8":
        ends = {"uint8": ("QUANTIZE", "QUANTIZE"), "float32": ("QUANTIZE", "DEQUANTIZE"), "int8": ()}[io]
        inner = ["CONV_2D", "CONV_2D", "CONV_2D", "ADD", "DEPTH_TO_SPACE"]
        assert ops == [*ends[:1], *inner, *ends[1:]]
    else:
        kept = [op for op in ops if op != "DEQUANTIZE"]
        assert kept == ["CONV_2D", "CONV_2D", "CONV_2D", "ADD", "MINIMUM", "DEPTH_TO_SPACE"]
        # three kernels and two biases: those of "tail" and "nearest" are the same zeros
        assert ops.count("DEQUANTIZE") == (5 if precision == "fp16" else 0)
    assert [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)] == [b"image", b"restored"]


def test_metadata_says_what_a_pixel_is() -> None:
    data, source, _ = written("int8", "uint8")
    model = model_of(data)
    found = {m.name.decode(): bytes(model.buffers[m.buffer].data) for m in model.metadata}
    assert set(found) == {"TFLITE_METADATA", "min_runtime_version"}
    assert found["min_runtime_version"] == b"2.5.0".ljust(16, b"\0")
    metadata = tflite_metadata.unpack(found["TFLITE_METADATA"])
    (image,), (restored,) = metadata.inputs, metadata.outputs
    assert (image.name, restored.name) == ("image", "restored")
    assert (image.mean, image.std, image.low, image.high, image.color_space) == (0, 1, 0, 255, 1)
    assert "uint8; real value = (q - 0) * 1" in image.description
    assert source.scale == 1.0


def test_the_signature_names_both_ends() -> None:
    interpreter = Interpreter(model_content=written("fp32")[0], num_threads=1)
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["restored"]}}
    image = picture().astype(np.float32)
    restored = interpreter.get_signature_runner("serving_default")(image=image)["restored"]
    np.testing.assert_array_equal(restored, run(written("fp32")[0], image))


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_buffers_are_aligned_and_stored_once(precision: Precision, io: IODType) -> None:
    data = written(precision, io)[0]
    model = schema.Model.GetRootAs(data)
    seen = []
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if not buffer.DataIsNone():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0
            seen.append(buffer.DataAsNumpy().tobytes())
    assert len(seen) == len(set(seen))
    assert model.Buffers(0).DataIsNone()


def test_constants_that_are_equal_are_one_tensor() -> None:
    file = FlatFile("x")
    first = file.constant("a", np.zeros(4, np.float32))
    assert file.constant("b", np.zeros(4, np.float32)) is first
    assert file.constant("c", np.zeros((2, 2), np.float32)) is not first
    assert file.constant("d", np.zeros(4, np.int8), Quant((1.0,))) is not file.constant("e", np.zeros(4, np.int8))


def test_an_option_that_the_schema_lacks_is_an_error() -> None:
    file = FlatFile("x")
    image = file.tensor("image", (1, 2, 2, 4), "float32", None, ())
    with pytest.raises(AttributeError, match="DepthToSpaceOptions of the TFLite schema has no field 'block_size'"):
        file.operator("DEPTH_TO_SPACE", [image], image, block_size=2)


def test_bias_is_at_input_times_weight_scale() -> None:
    model = model_of(written("int8", "int8")[0])
    graph = model.subgraphs[0]
    for op in graph.operators[:3]:
        source, kernel, bias = (graph.tensors[i].quantization for i in op.inputs)
        np.testing.assert_allclose(bias.scale, source.scale[0] * kernel.scale, rtol=1e-6)
        assert not bias.zeroPoint.any()
        assert not kernel.zeroPoint.any()


def test_the_clamp_is_in_the_scale_and_not_in_an_operator() -> None:
    data, _, result = written("int8", "uint8")
    assert (result.scale, result.zero_point) == (1.0, 0)
    pixels = np.full((1, SIZE.height, SIZE.width, 3), 255, np.uint8)
    assert run(data, pixels).max() == 255


@pytest.mark.parametrize("name", ["c", "w2"])
def test_a_scale_that_is_missing_is_named(name: str) -> None:
    quantized = quantized_of(graph_of())
    entries = {k: v for k, v in quantized.table.entries.items() if k != name}
    with pytest.raises(graphs.MalformedGraph, match=f"no entry for '{name}'"):
        emit(graph_of(), replace(quantized, table=ScaleTable(entries)), "int8", Options(SIZE))


def test_data_movement_needs_one_scale() -> None:
    quantized = quantized_of(graph_of())
    table = ScaleTable({**quantized.table.entries, "restored": QParams((0.9,), -128)})
    with pytest.raises(UnsupportedOperator, match=r"DepthToSpace of layer 'shuffle'.*must share one scale"):
        emit(graph_of(), replace(quantized, table=table), "int8", Options(SIZE))


def test_weights_that_float16_cannot_hold_are_refused() -> None:
    with pytest.raises(UnsupportedOperator, match=r"layer 'tail': constant 'w2' does not fit float16 \(largest"):
        emit(graph_of(big=1e6), None, "fp16", Options(SIZE, "float32"))


def test_a_static_graph_is_written_at_another_size_where_nothing_holds_it() -> None:
    graph = graph_of()
    data, source, _ = emit(graph, None, "fp32", Options(Size(9, 5), "float32"))
    assert source.shape == (1, 9, 5, 3)
    assert run(data, picture(Size(9, 5)).astype(np.float32)).shape == (1, 18, 10, 3)


def test_a_graph_that_holds_its_size_is_not_written_at_another() -> None:
    graph = graph_of()
    node = next(iter(graph.model.graph))
    sizes = graphs.new_constant(graph.model.graph, "sizes", np.array([1, 8, 6, 8], np.int64))
    resize = ir.node("Resize", [node.outputs[0], None, None, sizes], {"mode": "linear"}, name="fixed")
    graph.model.graph.insert_after(node, resize)
    with pytest.raises(BadInput, match=r"made for 6x8 \(its Resize 'fixed'.*cannot be written for 9x5"):
        emit(graph, None, "fp32", Options(Size(9, 5), "float32"))


def test_the_target_writes_a_file_and_says_what_it_is(tmp_path: Path) -> None:
    graph = graph_of()
    (artifact,) = TARGET.lower(graph, quantized_of(graph), "int8", Options(SIZE, "uint8"), tmp_path)
    assert artifact.path == tmp_path / "tiny_x2_int8.tflite"
    assert artifact.path.read_bytes() == written("int8", "uint8")[0]
    assert artifact.inputs[0].layout == "NHWC"
    assert artifact.inputs[0].dtype == "uint8"
    assert artifact.outputs[0].shape == (1, 12, 16, 3)
    assert set(artifact.tool_versions) == {"ai-edge-litert", "flatbuffers"}
    assert [p.name for p in tmp_path.iterdir()] == ["tiny_x2_int8.tflite"]


def test_a_precision_that_tflite_is_not_written_in_is_skipped(tmp_path: Path) -> None:
    (skipped,) = TARGET.lower(graph_of(), None, "int8-weights", Options(SIZE), tmp_path)
    assert skipped == Skipped("tflite/int8-weights", "TFLite is written as fp32, fp16, int8")
    assert not list(tmp_path.iterdir())


@settings(max_examples=20)
@given(st.lists(st.sampled_from([("CONV_2D", 3), ("ADD", 2), ("DEPTH_TO_SPACE", 2), ("SLICE", 1)]), max_size=4))
def test_the_oldest_runtime_is_that_of_the_newest_operator(used: list[tuple[str, int]]) -> None:
    text = tflite_versions.runtime(used)
    assert len(text) == 16
    newest = "2.5.0" if ("DEPTH_TO_SPACE", 2) in used else "1.14.0" if used else "1.5.0"
    assert text.rstrip(b"\0").decode() == newest


def test_mul_that_scales_up_needs_version_3() -> None:
    file = FlatFile("x")
    one = file.tensor("a", (1, 1, 1, 1), "int8", Quant((0.5,)), ())
    small, large = (file.tensor("o", (1, 1, 1, 1), "int8", Quant((s,)), ()) for s in (0.2, 0.3))
    assert tflite_versions.minimum("MUL", [one, one], small, {}) == 3
    assert tflite_versions.minimum("MUL", [one, one], large, {}) == 2


LINTED: dict[tuple[Precision, IODType], tuple[int, str]] = {
    ("fp32", "float32"): (29, "MINIMUM of FLOAT32"),
    ("fp16", "float32"): (30, "a float16 constant is handed over as it is"),
    ("int8", "int8"): (29, "one scale per channel"),
    ("int8", "uint8"): (30, "QUANTIZE to INT8"),
    ("int8", "float32"): (30, "QUANTIZE to INT8"),
}


@pytest.mark.parametrize("kind", LINTED)
def test_nnapi_takes_all_of_it_as_one_partition(kind: tuple[Precision, IODType], tmp_path: Path) -> None:
    path = tmp_path / "case.tflite"
    path.write_bytes(written(*kind)[0])
    report = lint_nnapi.lint(path)
    api_level, reason = LINTED[kind]
    assert report.api_level == api_level
    assert report.partitions(api_level) == 1
    assert not report.refused(api_level)
    assert report.refused(api_level - 1)[0].reason == reason
