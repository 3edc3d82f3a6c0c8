"""OpenVINO IR: content, outputs, and determinism."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from clearport.base import Artifact, IODType, Options, Skipped
from clearport.disk.files import digest
from clearport.errors import NotInstalled
from clearport.export.onnxruntime.target import CONTRACT_KEY
from clearport.export.openvino import target as to_openvino
from clearport.export.passes import order as passes
from clearport.export.written import described, target_graph
from clearport.graph import nodes as graphs
from clearport.protocols import Target
from clearport.quantize import scheme
from clearport.quantize.flow import quantize
from clearport.quantize.qdq import to_qdq
from clearport.registry import TARGETS, missing
from clearport.runtime import pixels

from ..every_target import outcome_of
from ..shared_views import FIRST, shared
from ..small_values import TINY, TINY_CONSTANTS
from ..tflite.harness import PLAIN, after_conv, build, i64, one, onnxruntime, pictures, real, weight

if missing(("openvino",)):
    pytest.skip("openvino is not installed", allow_module_level=True)

from clearport.runtime.runners.openvino import RUNNER

if TYPE_CHECKING:
    from clearport.base import Precision

TARGET: Target = TARGETS.get("openvino")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


def written(small: Any, precision: Precision, folder: Path, io: IODType = "float32") -> Artifact:
    (artifact,) = TARGET.lower(target_graph(small.graph, small.quantized, precision), Options(io=io), folder)
    assert isinstance(artifact, Artifact)
    return artifact


def levels_by(artifact: Artifact, photo: np.ndarray) -> np.ndarray:
    source, result = artifact.inputs[0], artifact.outputs[0]
    output = RUNNER.open(artifact.path, 1, {}).run({source.name: pixels.to_tensor(photo, source)})[result.name]
    assert output.dtype == result.dtype
    return pixels.to_levels(output, result)


def levels_by_onnx(model: Any, small: Any) -> np.ndarray:
    tensor = pixels.to_tensor(small.photo, small.graph.input)
    (output,) = graphs.session(model).run(None, {"image": tensor})
    return pixels.to_levels(output, small.graph.output)


def test_it_is_a_target() -> None:
    assert isinstance(TARGET, Target)
    assert TARGET.precisions == PRECISIONS


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_folder_with_one_ir_is_written(small: Any, precision: Precision, tmp_path: Path) -> None:
    artifact = written(small, precision, tmp_path)
    stem = f"small_x2_{precision}"
    assert artifact.path == tmp_path / f"{stem}.openvino"
    assert sorted(p.name for p in artifact.path.iterdir()) == [f"{stem}.bin", f"{stem}.xml"]
    assert artifact.sha256 == digest(artifact.path)
    assert list(tmp_path.iterdir()) == [artifact.path]
    root = ET.parse(artifact.path / f"{stem}.xml").getroot()
    assert root.get("name") == stem
    contract = root.find(f"rt_info/framework/{CONTRACT_KEY}")
    assert contract is not None
    expected = described(artifact.inputs, artifact.outputs)
    assert json.loads(contract.get("value", "")) == json.loads(json.dumps(expected))


def test_fp32_matches_the_graph(small: Any, tmp_path: Path) -> None:
    levels = levels_by(written(small, "fp32", tmp_path), small.photo)
    np.testing.assert_allclose(levels, levels_by_onnx(small.graph.model, small), atol=1e-3)


def test_fp16_stores_half_the_bytes_and_stays_close(small: Any, tmp_path: Path) -> None:
    half, full = (written(small, p, tmp_path) for p in ("fp16", "fp32"))
    np.testing.assert_allclose(levels_by(half, small.photo), levels_by(full, small.photo), atol=0.5)
    sizes = [next(a.path.glob("*.bin")).stat().st_size for a in (half, full)]
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize("io", ["uint8", "float32"])
def test_int8_matches_the_qdq_model_to_a_level(small: Any, io: IODType, tmp_path: Path) -> None:
    artifact = written(small, "int8", tmp_path, io)
    assert artifact.inputs[0].dtype == io
    reference = levels_by_onnx(to_qdq(small.quantized), small)
    difference = np.abs(levels_by(artifact, small.photo) - reference)
    assert difference.max() <= 2
    assert difference.mean() < 0.3


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_compact_graph_gives_the_same_bits(
    small: Any, precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Constants are written once, where OpenVINO writes each range of an int8 tensor four times."""
    folders = tmp_path / "compact", tmp_path / "as OpenVINO writes it"
    for folder in folders:
        folder.mkdir()
    compact = written(small, precision, folders[0])
    monkeypatch.setattr(to_openvino, "compact", lambda path: None)
    plain = written(small, precision, folders[1])
    np.testing.assert_array_equal(levels_by(compact, small.photo), levels_by(plain, small.photo))
    layers, others = (_layers(each) for each in (compact, plain))
    assert [layer for layer in layers if layer[0] != "Const"] == [layer for layer in others if layer[0] != "Const"]
    assert len(layers) < len(others) or precision != "int8"
    texts = [next(each.path.glob("*.xml")).read_bytes() for each in (compact, plain)]
    assert len(texts[0]) < (0.75 if precision == "int8" else 0.9) * len(texts[1])


def _layers(artifact: Artifact) -> list[tuple[str | None, str | None]]:
    root = ET.parse(next(artifact.path.glob("*.xml"))).getroot()
    return [(layer.get("type"), layer.get("name")) for layer in root.iterfind("layers/layer")]


CONVOLUTIONS = (("Conv", "y w b", "a", {"pads": [1, 1, 1, 1]}), ("Conv", "a v d", "c", {"pads": [1, 1, 1, 1]}))
RESIDUALS = {
    "of a convolution": (*CONVOLUTIONS, one("Add", "c y")),
    "of a leaky ReLU": (*CONVOLUTIONS, ("LeakyRelu", "c", "l", {"alpha": 0.05}), one("Add", "l y")),
    "of a sigmoid": (*CONVOLUTIONS, ("Sigmoid", "c", "s", {}), one("Add", "y s")),
    "times a number": (*CONVOLUTIONS, ("Mul", "c k", "m", {}), one("Add", "m y")),
    "times a number for each channel": (*CONVOLUTIONS, ("Mul", "c g", "m", {}), one("Add", "m y")),
    "of a leaky ReLU times a number": (
        *CONVOLUTIONS,
        ("LeakyRelu", "c", "l", {"alpha": 0.05}),
        ("Mul", "l k", "m", {}),
        one("Add", "m y"),
    ),
    "times two numbers": (
        *CONVOLUTIONS,
        ("Mul", "c k", "m", {}),
        ("Relu", "m", "r", {}),
        ("Mul", "r k", "n", {}),
        one("Add", "n y"),
    ),
    "plus a number": (*CONVOLUTIONS, ("Add", "c k", "m", {}), one("Add", "m y")),
    "by a number": (*CONVOLUTIONS, ("Div", "c k", "m", {}), one("Add", "m y")),
    "less another": (*CONVOLUTIONS, one("Sub", "c y")),
    "of a padded average": (
        *CONVOLUTIONS,
        ("AveragePool", "c", "p", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
        ("Mul", "p k", "m", {}),
        one("Add", "m y"),
    ),
}


@pytest.mark.parametrize("name", RESIDUALS)
def test_convolution_outputs_are_rounded_before_the_addition(name: str, tmp_path: Path) -> None:
    """The CPU plugin adds within the convolution, where it would leave that rounding out."""
    constants = {"w": 2 * weight(8, 8, 3, 3), "v": 2 * weight(8, 8, 3, 3, seed=8), "b": weight(8), "d": weight(8)}
    constants |= {"k": np.float32(0.1), "g": np.linspace(0.05, 0.3, 8, dtype=np.float32).reshape(8, 1, 1)}
    read = {operand for node in RESIDUALS[name] for operand in node[1].split()}
    held = {key: array for key, array in constants.items() if key in read}
    graph = passes.run(build(after_conv(*RESIDUALS[name], constants=held), "height", "width"))
    quantized = quantize(graph, pictures(), PLAIN)
    (artifact,) = TARGET.lower(target_graph(graph, quantized, "int8"), Options(io="float32"), tmp_path)
    assert isinstance(artifact, Artifact)
    given = RUNNER.open(artifact.path, 1, {}).run({"image": real(pictures()[0])})["restored"]
    wanted = onnxruntime(to_qdq(quantized), real(pictures()[0]))
    step = quantized.table.entries["restored"].scale[0]
    steps = np.abs(given - wanted) / step
    assert steps.max() < 1.5
    assert (steps < 0.5).mean() >= 0.98


@pytest.mark.parametrize("precision", PRECISIONS)
def test_names_do_not_count_how_much_was_converted_before(small: Any, precision: Precision, tmp_path: Path) -> None:
    first = written(small, precision, tmp_path / "a")
    assert written(small, precision, tmp_path / "b").sha256 == first.sha256
    assert written(small, precision, tmp_path / "a").sha256 == first.sha256
    text = next(first.path.glob("*.xml")).read_text()
    assert str(tmp_path) not in text


CONVERT = """
import sys
from pathlib import Path
from clearport.export.openvino import target as to_openvino
Path(sys.argv[2]).mkdir()
to_openvino._write(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2], "small.xml"), half=False)
"""


def test_another_process_writes_the_same_bytes(small: Any, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(graphs.to_bytes(to_qdq(small.quantized)))
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    to_openvino._write(model.read_bytes(), here / "small.xml", half=False)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", CONVERT, model, there], check=True, timeout=240, env=environment)
    assert digest(here) == digest(there)


def test_int8_weights_are_skipped_with_a_reason(small: Any, tmp_path: Path) -> None:
    (skipped,) = TARGET.lower(target_graph(small.graph, small.quantized, "int8-weights"), Options(), tmp_path)
    assert skipped == Skipped("openvino/int8-weights", "OpenVINO is written as fp32, fp16, int8")


def test_a_missing_package_is_an_install_line(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_openvino, "missing", tuple)
    with pytest.raises(NotInstalled, match=r"openvino is not installed.*pip install 'clearport\[openvino\]'"):
        written(small, "fp32", tmp_path)


@pytest.mark.parametrize("sides", [(10, 12), ("H", "W")], ids=["fixed", "free"])
@pytest.mark.parametrize("unsqueezed", [False, True])
@pytest.mark.parametrize("first", FIRST)
def test_views_of_what_a_convolution_reads(
    first: str, unsqueezed: bool, sides: tuple[Any, Any], tmp_path: Path
) -> None:
    """OpenVINO gives the memory under one of them away (``quirks.openvino``: SHARED_VIEWS)."""
    graph, image = build(shared(first, unsqueezed=unsqueezed), *sides), real(pictures()[0])
    wanted = onnxruntime(graph.model, image)
    for precision, far in (("fp32", 1e-5), ("fp16", 2e-3)):
        found = outcome_of("openvino", graph, None, precision, image, tmp_path, None).picture
        np.testing.assert_allclose(found, wanted, atol=far * np.abs(wanted).max())


@pytest.mark.parametrize("sides", [(10, 12), ("H", "W")], ids=["fixed", "free"])
def test_very_small_values_keep_their_levels(sides: tuple[Any, Any], tmp_path: Path) -> None:
    """OpenVINO drops the zero point of a range that begins within 1e-6 of zero (``quirks.openvino``: TINY_ENDS)."""
    graph = build(after_conv(*TINY, constants=TINY_CONSTANTS), *sides)
    quantized, image = quantize(graph, pictures(), PLAIN), real(pictures()[0])
    entries = {name: quantized.table.entries[name] for name in ("a", "c", "s")}
    assert all(-1e-6 < scheme.to_real(np.int8([-128]), entry)[0] < 0 for entry in entries.values())
    (artifact,) = TARGET.lower(target_graph(graph, quantized, "int8"), Options(io="float32"), tmp_path)
    assert isinstance(artifact, Artifact)
    taps = {name: (entry.scale[0], entry.zero_point + 128) for name, entry in entries.items()}
    found = RUNNER.open(artifact.path, 1, {}).run({"image": image})
    np.testing.assert_allclose(found["restored"], onnxruntime(to_qdq(quantized), image), rtol=1e-5, atol=1e-5)
    shown = RUNNER.open(artifact.path, 1, {"taps": taps}).run({"image": image})
    np.testing.assert_array_equal(shown["restored"], found["restored"])
    assert all(np.ptp(shown[f"tap:{name}"].astype(int)) > 200 for name in taps)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("kept", [1, 8])
def test_of_equal_values_the_first_come_first(kept: int, largest: int, tmp_path: Path) -> None:
    """OpenVINO gives others that are equal (``quirks.openvino``: UNSTABLE); zeros behind a Relu are."""
    nodes = [
        ("Relu", "x", "r", {}), ("TopK", "r k", "v i", {"axis": 3, "largest": largest}), ("Cast", "i", "f", {"to": 1}),
        one("Add", "v f"),
    ]  # fmt: skip
    graph, image = build(after_conv(*nodes, constants={"k": i64(kept)})), real(pictures()[0])
    found = outcome_of("openvino", graph, None, "fp32", image, tmp_path, None).picture
    np.testing.assert_allclose(found, onnxruntime(graph.model, image), atol=1e-5)
