"""The .tflite file: inputs and outputs, sizes, metadata, signature, buffers, and determinism."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from clearport.base import IODType, Precision, Size
from clearport.export.tflite import metadata as tflite_metadata
from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.tensors import Quant
from clearport.runtime.sessions.tflite import TfliteSession

from .small import BLOCK, KINDS, SIZE, model_of, picture, run, written


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
