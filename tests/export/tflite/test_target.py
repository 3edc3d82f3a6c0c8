"""The TFLite target: scales, sizes, operator versions, NNAPI support, and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import IODType, Options, Precision, Size, Skipped
from clearport.errors import BadInput, UnsupportedOperator
from clearport.export.tflite import versions as tflite_versions
from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.lint import nnapi
from clearport.export.tflite.target import TARGET, emit
from clearport.export.tflite.tensors import Quant
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.quantized import QParams, ScaleTable, TargetGraph

from .small import SIZE, graph_of, model_of, picture, quantized_of, run, written


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
        emit(target_graph(graph_of(), replace(quantized, table=ScaleTable(entries)), "int8"), Options(SIZE))


def test_data_movement_needs_one_scale() -> None:
    quantized = quantized_of(graph_of())
    table = ScaleTable({**quantized.table.entries, "restored": QParams((0.9,), -128)})
    with pytest.raises(UnsupportedOperator, match=r"DepthToSpace of layer 'shuffle'.*must share one scale"):
        emit(target_graph(graph_of(), replace(quantized, table=table), "int8"), Options(SIZE))


@pytest.mark.parametrize("big", [1e6, 1e-8], ids=["too large", "below the normal numbers"])
def test_weights_that_float16_cannot_hold_stay_float32(big: float) -> None:
    data, _, _ = emit(target_graph(graph_of(big=big), None, "fp16"), Options(SIZE, "float32"))
    graph = model_of(data).subgraphs[0]
    stored = {tensor.name.decode(): tensor.type for tensor in graph.tensors}
    assert (stored["w1"], stored["w2"]) == (schema.TensorType.FLOAT16, schema.TensorType.FLOAT32)


def test_a_static_graph_is_written_at_another_size_where_nothing_holds_it() -> None:
    graph = graph_of()
    data, (source,), _ = emit(target_graph(graph, None, "fp32"), Options(Size(9, 5), "float32"))
    assert source.shape == (1, 9, 5, 3)
    assert run(data, picture(Size(9, 5)).astype(np.float32)).shape == (1, 18, 10, 3)


def test_a_graph_that_holds_its_size_is_not_written_at_another() -> None:
    graph = graph_of()
    node = next(iter(graph.model.graph))
    sizes = graphs.new_constant(graph.model.graph, "sizes", np.array([1, 8, 6, 8], np.int64))
    resize = ir.node("Resize", [node.outputs[0], None, None, sizes], {"mode": "linear"}, name="fixed")
    graph.model.graph.insert_after(node, resize)
    with pytest.raises(BadInput, match=r"made for 6x8 \(its Resize 'fixed'.*cannot be written for 9x5"):
        emit(target_graph(graph, None, "fp32"), Options(Size(9, 5), "float32"))


def test_the_target_writes_a_file_and_says_what_it_is(tmp_path: Path) -> None:
    graph = graph_of()
    (artifact,) = TARGET.lower(target_graph(graph, quantized_of(graph), "int8"), Options(SIZE, "uint8"), tmp_path)
    assert artifact.path == tmp_path / "tiny_x2_int8.tflite"
    assert artifact.path.read_bytes() == written("int8", "uint8")[0]
    assert artifact.inputs[0].layout == "NHWC"
    assert artifact.inputs[0].dtype == "uint8"
    assert artifact.outputs[0].shape == (1, 12, 16, 3)
    assert set(artifact.tool_versions) == {"ai-edge-litert", "flatbuffers"}
    assert [p.name for p in tmp_path.iterdir()] == ["tiny_x2_int8.tflite"]


def test_a_precision_that_tflite_is_not_written_in_is_skipped(tmp_path: Path) -> None:
    (skipped,) = TARGET.lower(TargetGraph(graph_of(), None, "int8-weights"), Options(SIZE), tmp_path)
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
    report = nnapi.lint(path)
    api_level, reason = LINTED[kind]
    assert report.api_level == api_level
    assert report.partitions(api_level) == 1
    assert not report.refused(api_level)
    assert report.refused(api_level - 1)[0].reason == reason
