"""The writer of Core AI files, proven by Apple's runtime; operators are those of every target's grid."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Artifact, Graph, IODType, Options, Precision, Size, Skipped, TensorSpec
from clearport.errors import BadInput, UnsupportedOperator
from clearport.export.coreai import beta, sums
from clearport.export.coreai.tools import authoring
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.pipeline import lower
from clearport.pipeline.plan import Cell
from clearport.quantize.qdq import to_qdq
from clearport.quantized import TargetGraph
from clearport.registry import TARGETS, missing
from clearport.runtime import pixels
from tests.export import apart
from tests.export.conftest import Small, doubling_graph
from tests.export.tflite.harness import onnxruntime

if missing((beta.PACKAGE,)):
    pytest.skip(beta.unusable() or "coreai-core is not installed", allow_module_level=True)

SIZE = Size(12, 16)


def written(small: Small, precision: Precision, folder: Path, io: IODType = "uint8") -> Artifact:
    size = None if small.graph.input.dynamic else SIZE
    made = TARGETS.get("coreai").lower(target_graph(small.graph, small.quantized, precision), Options(size, io), folder)
    assert [each.key if isinstance(each, Artifact) else each.what for each in made] == [
        f"coreai/{precision}",
        f"coreai/{precision}/image",
    ]
    assert isinstance(made[0], Artifact)
    return made[0]


def result(artifact: Artifact, photo: np.ndarray) -> np.ndarray:
    source = artifact.inputs[0]
    return apart.run(artifact.path, {source.name: pixels.to_tensor(photo, source)})[artifact.outputs[0].name]


def float_image(small: Small) -> np.ndarray:
    return pixels.to_tensor(small.photo, small.graph.input)


@pytest.mark.parametrize(("precision", "least_db"), [("fp32", 130.0), ("fp16", 60.0)])
def test_float_files_match_the_graph(precision: Precision, least_db: float, small: Small, tmp_path: Path) -> None:
    given = result(written(small, precision, tmp_path), small.photo)
    wanted = onnxruntime(small.graph.model, float_image(small))
    error = np.square(given.astype(np.float64) - wanted).mean()
    assert given.dtype == np.float32
    assert 10 * np.log10(255.0**2 / max(error, 1e-30)) >= least_db


@pytest.mark.parametrize("io", ["uint8", "int8", "float32"])
def test_int8_files_match_the_qdq_model(io: IODType, small: Small, tmp_path: Path) -> None:
    artifact = written(small, "int8", tmp_path, io)
    given = pixels.dequantize(result(artifact, small.photo), artifact.outputs[0])
    wanted = onnxruntime(to_qdq(small.quantized), float_image(small))
    assert artifact.inputs[0].dtype == artifact.outputs[0].dtype == io
    steps = np.abs(given - wanted) / small.quantized.table["restored"].scale[0]
    assert (steps < 0.5).mean() >= 0.999
    assert steps.max() <= 1.01


def test_metadata_has_the_author_and_the_meaning_of_values(small: Small, tmp_path: Path) -> None:
    artifact = written(small, "int8", tmp_path)
    told = json.loads((artifact.path / beta.METADATA).read_text())
    facts = told["creatorDefinedMetadata"]
    contract = json.loads(facts["clearport.pixel_contract"])
    assert facts["clearport.minimum_os"] == "iOS 27, macOS 27"
    assert facts["clearport.precision"] == "int8"
    assert contract["input"]["dtype"] == "uint8"
    assert contract["input"]["value_range"] == [0.0, 255.0]
    assert told["creationDate"].startswith("1970")
    assert "clearport" in told["author"]


def test_a_file_has_its_own_hash_and_no_place_of_this_machine(small: Small, tmp_path: Path) -> None:
    path = written(small, "fp32", tmp_path).path
    program = (path / beta.PROGRAM).read_bytes()
    assert (path / beta.HASH).read_bytes() == hashlib.sha256(program).digest()
    assert sorted(p.name for p in path.iterdir()) == sorted((beta.PROGRAM, beta.HASH, beta.METADATA))
    assert not [word for word in (b".py", str(tmp_path).encode(), b"/site-packages") if word in program]
    assert b"conv1.out" in program, "layers are named"


WRITE = """
from pathlib import Path
from clearport.base import Options, Size
from clearport.export.written import target_graph
from clearport.registry import TARGETS
from tests.export.conftest import doubling_graph
form = target_graph(doubling_graph((12, 16)), None, "{0}")
made = TARGETS.get("coreai").lower(form, Options(Size(12, 16)), Path({1!r}))
print(made[0].sha256)
"""


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a" / "deep", tmp_path / "b"
    for folder in (ours, theirs):
        folder.mkdir(parents=True)
    made = TARGETS.get("coreai").lower(target_graph(doubling_graph((12, 16)), None, "fp16"), Options(SIZE), ours)
    again = TARGETS.get("coreai").lower(target_graph(doubling_graph((12, 16)), None, "fp16"), Options(SIZE), ours)
    root = Path(__file__).parents[3]
    line = [sys.executable, "-c", WRITE.format("fp16", str(theirs))]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=root)
    assert made[0].sha256 == again[0].sha256 == done.stdout.split()[-1]


def test_another_size_than_the_graphs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="made for 12x16 and cannot be written for 24x16"):
        TARGETS.get("coreai").lower(
            target_graph(doubling_graph((12, 16)), None, "fp32"), Options(Size(24, 16)), tmp_path
        )


@pytest.mark.parametrize("version", ["1.0.0b4", beta.VERSION])
def test_a_later_version_that_breaks_it_is_a_skipped_row(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beta, "installed_versions", lambda names: dict.fromkeys(names, version))
    monkeypatch.delattr(authoring(), "conv2d")
    cell = Cell(TARGETS.get("coreai"), "fp32")
    (made,) = lower.lower(cell, doubling_graph((12, 16)), None, Options(SIZE), tmp_path)
    assert isinstance(made, Skipped)
    assert made.what == "coreai/fp32"
    assert "conv2d" in made.reason
    said = "coreai-core 1.0.0b4 is installed, and clearport is made for 1.0.0b3 (pip install coreai-core==1.0.0b3)"
    assert (said in made.reason) == (version != beta.VERSION)
    assert list(tmp_path.iterdir()) == []


def test_a_precision_that_it_lacks_is_skipped(small: Small, tmp_path: Path) -> None:
    (made,) = TARGETS.get("coreai").lower(TargetGraph(small.graph, None, "int8-weights"), Options(SIZE), tmp_path)
    assert "fp32, fp16, int8" in made.reason


def single(op: str, **attributes: object) -> Graph:
    """One operator, at any size."""
    spec = [TensorSpec(name, (1, 3, "H", "W")) for name in ("image", "restored")]
    ends = [helper.make_tensor_value_info(s.name, onnx.TensorProto.FLOAT, list(s.shape)) for s in spec]
    node = helper.make_node(op, ["image"], ["restored"], "the layer", **attributes)
    body = helper.make_graph([node], "one", ends[:1], ends[1:])
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    return graphs.check(Graph(ir.from_proto(proto), (spec[0],), (spec[1],), "one", 1))


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (single("Hardmax"), "no conversion rule"),
        (
            single("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            "an average that excludes padding needs a fixed size",
        ),
    ],
)
def test_unsupported_layers_are_refused_with_name_and_reason(graph: Graph, why: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperator, match=f"coreai: unsupported operator .* of layer 'the layer': {why}"):
        TARGETS.get("coreai").lower(target_graph(graph, None, "fp32"), Options(None), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_places_to_sample_stay_in_float32(tmp_path: Path) -> None:
    """They are computed by operators that only the written graph has; float16 would move them by parts of a pixel."""
    bounds = {name: np.array([place]) for name, place in (("start", 0), ("end", 2), ("axis", 1))}
    nodes = [
        helper.make_node("Mul", ["image", "k"], ["near"]),
        helper.make_node("Slice", ["near", "start", "end", "axis"], ["two"]),
        helper.make_node("Transpose", ["two"], ["grid"], perm=[0, 2, 3, 1]),
        helper.make_node("GridSample", ["image", "grid"], ["restored"], padding_mode="border"),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 96, 80]) for name in ("image", "restored")
    ]
    held = [numpy_helper.from_array(a, n) for n, a in {"k": np.float32(1 / 300), **bounds}.items()]
    body = helper.make_graph(nodes, "sampled", ends[:1], ends[1:], held)
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    specs = [TensorSpec(name, (1, 3, 96, 80)) for name in ("image", "restored")]
    graph = graphs.check(Graph(ir.from_proto(proto), (specs[0],), (specs[1],), "sampled", 1))
    image = np.random.default_rng(0).uniform(-255, 255, (1, 3, 96, 80)).astype(np.float32)
    artifact = TARGETS.get("coreai").lower(target_graph(graph, None, "fp16"), Options(Size(96, 80)), tmp_path)[0]
    found = apart.run(artifact.path, {"image": image})["restored"]
    # The picture alone is rounded, to 11 bits: an eighth of a level at most, where a step of the places would be ten.
    assert np.abs(found - graphs.session(graph.model).run(None, {"image": image})[0]).max() <= 0.13


def test_long_products_sum_in_float32(tmp_path: Path) -> None:
    """Apple's runtime adds in float16, and after a thousand terms a term is too small for the sum to notice."""
    nodes = [
        helper.make_node("Mul", ["image", "k"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["unit", "turned"], ["restored"], "long"),
    ]
    ends = [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 8, 1536])]
    ends += [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, [1, 3, 8, 8])]
    held = [numpy_helper.from_array(np.float32(1 / 255), "k")]
    body = helper.make_graph(nodes, "products", ends[:1], ends[1:], held)
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    specs = TensorSpec("image", (1, 3, 8, 1536)), TensorSpec("restored", (1, 3, 8, 8), kind="map", value_range=None)
    graph = graphs.check(Graph(ir.from_proto(proto), specs[:1], specs[1:], "products", 1))
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 8, 1536)).astype(np.float32)
    artifact = TARGETS.get("coreai").lower(target_graph(graph, None, "fp16"), Options(Size(8, 1536)), tmp_path)[0]
    found = apart.run(artifact.path, {"image": image})["restored"]
    wanted = graphs.session(graph.model).run(None, {"image": image})[0]
    assert np.abs(found / wanted - 1).max() <= 2**-10  # the picture's rounding; sums in float16 are 0.017 off


def test_short_products_stay_in_float16() -> None:
    """Of 64 terms, and of 128 that differ in sign, float16 sums are good enough."""
    rng = np.random.default_rng(0)
    assert sums.error_db(rng.normal(size=(1, 8, 64)), rng.random((64, 8))) == np.inf
    assert sums.error_db(rng.normal(size=(1, 8, 128)), rng.normal(size=(128, 8))) > sums.ENOUGH_DB
    assert sums.error_db(rng.random((1, 8, 1536)), rng.random((1536, 8))) < sums.ENOUGH_DB
    assert sums.error_db(np.full((1, 8, 128), 200.0), np.full((128, 8), 200.0)) == -np.inf
