"""ONNX Runtime files: content, outputs, and determinism."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from clearport.base import Artifact, IODType, Options, Skipped
from clearport.disk.files import digest
from clearport.export.onnxruntime import format as onnxruntime_format
from clearport.export.onnxruntime import target as to_onnxruntime
from clearport.export.written import described, target_graph
from clearport.graph import nodes as graphs
from clearport.protocols import Target
from clearport.quantize.qdq import to_qdq
from clearport.quantize.wide import quantize as wide_quantize
from clearport.registry import TARGETS
from clearport.runtime import pixels

if TYPE_CHECKING:
    from clearport.base import Precision

TARGET: Target = TARGETS.get("onnxruntime")
FLOAT_IO = Options(io="float32")


def written(small: Any, precision: Precision, folder: Path, options: Options = FLOAT_IO) -> list[Artifact]:
    made = TARGET.lower(target_graph(small.graph, small.quantized, precision), options, folder)
    artifacts = [a for a in made if isinstance(a, Artifact)]
    assert len(artifacts) == len(made)
    return artifacts


def picture_by(model: Path | bytes, artifact: Artifact, photo: np.ndarray) -> np.ndarray:
    source, result = artifact.inputs[0], artifact.outputs[0]
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (output,) = session.run([result.name], {source.name: pixels.to_tensor(photo, source)})
    assert output.dtype == result.dtype
    return pixels.to_image(output, result)


def values_by(artifact: Artifact, photo: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(artifact.path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {artifact.inputs[0].name: pixels.to_tensor(photo, artifact.inputs[0])})
    return np.asarray(output, np.float64)


def test_it_is_a_target() -> None:
    assert isinstance(TARGET, Target)
    assert TARGET.name == "onnxruntime"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_both_forms_are_written_and_give_the_same_picture(small: Any, precision: Precision, tmp_path: Path) -> None:
    plain, packed = written(small, precision, tmp_path)
    assert (plain.path.name, plain.variant) == (f"small_x2_{precision}.onnx", "")
    assert (packed.path.name, packed.variant) == (f"small_x2_{precision}_ort.ort", "ort")
    assert plain.sha256 == digest(plain.path)
    assert plain.tool_versions["onnxruntime"] == ort.__version__
    first, second = (picture_by(a.path, a, small.photo) for a in (plain, packed))
    assert first.shape == (24, 32, 3)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("io", "dtype"), [("uint8", "uint8"), ("int8", "uint8"), ("float32", "float32")])
def test_int8_inputs_and_outputs_have_the_requested_pixel_type(
    small: Any, io: IODType, dtype: str, tmp_path: Path
) -> None:
    artifact, _ = written(small, "int8", tmp_path, Options(io=io))
    assert (artifact.inputs[0].dtype, artifact.outputs[0].dtype) == (dtype, dtype)
    if dtype == "uint8":
        assert (artifact.inputs[0].scale, artifact.inputs[0].zero_point) == (1.0, 0)
    reference = graphs.to_bytes(to_qdq(small.quantized, "uint8", "float32"))
    floats, _ = written(small, "int8", tmp_path / "float")
    np.testing.assert_array_equal(
        picture_by(artifact.path, artifact, small.photo), picture_by(reference, floats, small.photo)
    )


def test_fp32_inputs_and_outputs_are_always_float(small: Any, tmp_path: Path) -> None:
    artifact, _ = written(small, "fp32", tmp_path, Options(io="uint8"))
    assert artifact.inputs == (small.graph.input,)
    assert artifact.outputs == (small.graph.output,)


def test_files_state_their_pixel_contract(small: Any, tmp_path: Path) -> None:
    for artifact in written(small, "int8", tmp_path, Options(io="uint8")):
        session = ort.InferenceSession(artifact.path, providers=["CPUExecutionProvider"])
        contract = json.loads(session.get_modelmeta().custom_metadata_map[to_onnxruntime.CONTRACT_KEY])
        expected = described(artifact.inputs, artifact.outputs)
        assert contract == json.loads(json.dumps(expected))


def test_activations_are_uint8_and_weights_int8(small: Any, tmp_path: Path) -> None:
    artifact, _ = written(small, "int8", tmp_path)
    model = onnx.load(artifact.path)
    onnx.checker.check_model(model, full_check=True)
    stored = {i.name: i.data_type for i in model.graph.initializer}
    kinds = {stored[n.input[2]] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    assert kinds == {onnx.TensorProto.UINT8}
    assert onnx.TensorProto.INT8 in stored.values()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_files_have_the_least_version_of_the_format_that_they_need(
    small: Any, precision: Precision, tmp_path: Path
) -> None:
    plain, _ = written(small, precision, tmp_path)
    model = onnx.load(plain.path)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    assert model.ir_version == max(onnx.helper.OP_SET_ID_VERSION_MAP[pair] for pair in opsets.items()) == 9
    newer = {onnx.TensorProto.UINT4, onnx.TensorProto.INT4, onnx.TensorProto.FLOAT8E4M3FN}  # format 10 and 9 have these
    assert not newer & {i.data_type for i in model.graph.initializer}
    assert not any(node.metadata_props for node in model.graph.node), "which format 10 has"
    assert to_onnxruntime.LEAST_ONNXRUNTIME == "1.17", "the first with operator set 20"


def test_int8a16_has_uint16_activations_int8_weights_and_float_ends(small: Any, tmp_path: Path) -> None:
    wide = wide_quantize(small.graph, [small.photo])
    (artifact,) = TARGET.lower(target_graph(small.graph, wide, "int8a16"), Options(), tmp_path)
    assert isinstance(artifact, Artifact)
    assert (artifact.path.name, artifact.variant) == ("small_x2_int8a16.onnx", "")
    assert {artifact.inputs[0].dtype, artifact.outputs[0].dtype} == {"float32"}
    model = onnx.load(artifact.path)
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (21, 10)
    stored = {i.name: i.data_type for i in model.graph.initializer}
    assert {stored[n.input[2]] for n in model.graph.node if n.op_type == "QuantizeLinear"} == {onnx.TensorProto.UINT16}
    assert {onnx.TensorProto.INT8, onnx.TensorProto.INT32} <= set(stored.values())
    (fp32, _), (int8, _) = (written(small, precision, tmp_path / precision) for precision in ("fp32", "int8"))
    wanted, near, far = (values_by(each, small.photo) for each in (fp32, artifact, int8))
    assert 0 < np.square(near - wanted).mean() < 0.2 * np.square(far - wanted).mean()


@pytest.mark.parametrize("precision", ["fp16", "int8-weights"])
def test_other_precisions_are_skipped_with_a_reason(small: Any, precision: Precision, tmp_path: Path) -> None:
    (skipped,) = TARGET.lower(target_graph(small.graph, small.quantized, precision), Options(), tmp_path)
    assert skipped == Skipped(f"onnxruntime/{precision}", "ONNX Runtime is written in fp32, int8, int8a16")
    assert list(tmp_path.iterdir()) == []


def test_int8_without_a_quantized_graph_is_a_mistake_of_the_caller(small: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="files are written from the quantized graph"):
        TARGET.lower(target_graph(small.graph, None, "int8"), Options(), tmp_path)


def test_lowering_leaves_the_graph_as_it_was(small: Any, tmp_path: Path) -> None:
    before = graphs.to_bytes(small.graph.model), graphs.to_bytes(small.quantized.graph.model)
    written(small, "fp32", tmp_path)
    written(small, "int8", tmp_path)
    assert before == (graphs.to_bytes(small.graph.model), graphs.to_bytes(small.quantized.graph.model))


RAW = """
import sys, onnxruntime as ort
options = ort.SessionOptions()
options.log_severity_level = 3
options.add_session_config_entry("session.save_model_format", "ORT")
options.optimized_model_filepath = sys.argv[2]
ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"])
"""


def raw_ort_files(model: Path, folder: Path, count: int) -> list[bytes]:
    """What ONNX Runtime itself writes, each by a process of its own (its hash seeds differ)."""
    paths = [folder / f"{n}.ort" for n in range(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen([sys.executable, "-c", RAW, str(model), str(p)], env=environment) for p in paths]
    assert all(process.wait(timeout=240) == 0 for process in started)
    return [path.read_bytes() for path in paths]


def test_ort_files_are_the_same_bytes_in_every_process(small: Any, tmp_path: Path) -> None:
    plain, packed = written(small, "int8", tmp_path)
    raw = raw_ort_files(plain.path, tmp_path, 4)
    assert {onnxruntime_format.canonical(data) for data in raw} == {packed.path.read_bytes()}


def test_canonical_form_keeps_what_it_sorts(small: Any, tmp_path: Path) -> None:
    plain, _ = written(small, "int8", tmp_path)
    (raw,) = raw_ort_files(plain.path, tmp_path, 1)
    fixed = onnxruntime_format.canonical(raw)
    assert onnxruntime_format.canonical(fixed) == fixed
    assert sorted(constraints(raw)) == list(constraints(fixed))
    assert len(constraints(fixed)) > 2


def constraints(data: bytes) -> list[Any]:
    from flatbuffers import encode, packer
    from flatbuffers.table import Table

    buffer = bytearray(data)
    session = Table(buffer, encode.Get(packer.uoffset, buffer, 0))
    place = onnxruntime_format._target(session, onnxruntime_format._RESOLVER)
    return list(onnxruntime_format._operators(Table(buffer, place)))


@pytest.mark.parametrize("data", [b"", b"\x08\x00\x00\x00TFL3", b"ONNX" * 20])
def test_canonical_form_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a file in ONNX Runtime's ORT format"):
        onnxruntime_format.canonical(data)
