"""The image variant of Core AI files, and what Apple's runtime makes of its pixels where it has no images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from clearport.base import Artifact, Graph, Options, Precision, Size, Skipped, TensorSpec
from clearport.export.coreai import beta
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.quantize.qdq import to_qdq
from clearport.registry import TARGETS, missing
from clearport.runtime import pixels
from clearport.runtime.runners.coreai import RUNNER
from clearport.runtime.usable import method_of
from tests.export import apart
from tests.export.conftest import Small, doubling_graph
from tests.export.tflite.harness import onnxruntime

if missing((beta.PACKAGE,)):
    pytest.skip(beta.unusable() or "coreai-core is not installed", allow_module_level=True)

SIZE = Size(12, 16)
FACTORS = (1.0, 0.5, 0.25)
"""Of red, green and blue."""


def lowered(graph: Graph, precision: Precision, folder: Path, small: Small | None = None) -> Artifact | Skipped:
    """The image variant."""
    form = target_graph(graph, small.quantized if small else None, precision)
    size = None if graph.input.dynamic else SIZE
    found: Artifact | Skipped = TARGETS.get("coreai").lower(form, Options(size), folder)[1]
    return found


def scaling(value_range: tuple[float, float], kind: str = "picture", color: str = "RGB") -> Graph:
    """Its input times ``FACTORS``, for each channel."""
    specs = [TensorSpec(n, (1, 3, 12, 16), value_range=value_range) for n in ("image", "restored")]
    specs = [TensorSpec(s.name, s.shape, value_range=value_range, kind=kind, color=color) for s in specs]
    ends = [helper.make_tensor_value_info(s.name, onnx.TensorProto.FLOAT, list(s.shape)) for s in specs]
    held = [numpy_helper.from_array(np.float32(FACTORS).reshape(1, 3, 1, 1), "k")]
    body = helper.make_graph([helper.make_node("Mul", ["image", "k"], ["restored"])], "g", ends[:1], ends[1:], held)
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=10)
    return graphs.check(Graph(ir.from_proto(proto), (specs[0],), (specs[1],), "scaling", 1))


def every_level() -> np.ndarray:
    """(12, 16, 3), uint8, with all levels and channels that differ."""
    return np.random.default_rng(0).permutation(np.arange(576) % 256).astype(np.uint8).reshape(12, 16, 3)


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_pixels_reach_the_network_in_its_range_and_order(
    precision: Precision, value_range: tuple[float, float], tmp_path: Path
) -> None:
    """The function that is run takes blue, green, red and alpha, as an image has them."""
    artifact = lowered(scaling(value_range), precision, tmp_path)
    assert isinstance(artifact, Artifact)
    photo = every_level()
    given = np.concatenate((photo[..., ::-1], np.full((12, 16, 1), 77, np.uint8)), axis=2)
    found = apart.tensors(artifact.path, {"image": given})["restored"]
    black, step = value_range[0], (value_range[1] - value_range[0]) / 255.0
    wanted = ((photo * step + black) * np.array(FACTORS) - black) / step
    assert found.shape == (12, 16, 4)
    assert found.dtype == np.uint8
    assert (found[..., 3] == 255).all()
    # Half a level of rounding, and half a step of float16, of which there are four to a level at 255.
    allowed = 0.5 + (1e-3 if precision == "fp32" else 0.26)
    assert np.abs(found[..., 2::-1] - np.clip(wanted, 0, 255)).max() <= allowed


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_runner_gives_the_picture_of_the_other_variant(precision: Precision, small: Small, tmp_path: Path) -> None:
    artifact = lowered(small.graph, precision, tmp_path, small)
    if small.graph.input.dynamic:
        assert isinstance(artifact, Skipped)
        assert artifact.what == f"coreai/{precision}/image"
        assert "have a fixed size: give --size" in artifact.reason
        return
    assert isinstance(artifact, Artifact)
    assert artifact.key == f"coreai/{precision}/image"
    assert [(s.shape, s.dtype) for s in (artifact.inputs[0], artifact.outputs[0])] == [
        ((1, 12, 16, 3), "uint8"),
        ((1, 24, 32, 3), "uint8"),
    ]
    image = pixels.to_tensor(small.photo, artifact.inputs[0])
    found = apart.run(artifact.path, {"image": image})["restored"].astype(np.float64)
    model = to_qdq(small.quantized) if precision == "int8" else small.graph.model
    floats = onnxruntime(model, pixels.to_tensor(small.photo, small.graph.input)).transpose(0, 2, 3, 1)
    assert np.abs(found - floats).max() <= {"fp32": 0.501, "fp16": 0.75, "int8": 1.01}[precision]


def test_rows_say_what_was_run(tmp_path: Path) -> None:
    artifact = lowered(doubling_graph((12, 16)), "fp32", tmp_path)
    assert isinstance(artifact, Artifact)
    told = method_of(RUNNER, artifact)
    assert told.startswith(RUNNER.method)
    if sys.platform == "linux":
        assert told.endswith("by its function for pixels: images need CoreVideo, which only Apple's systems have")


@pytest.mark.parametrize(("kind", "color"), [("map", "RGB"), ("picture", "BGR")])
def test_without_rgb_pictures_there_are_no_images(kind: str, color: str, tmp_path: Path) -> None:
    found = lowered(scaling((0.0, 255.0), kind, color), "fp32", tmp_path)
    assert isinstance(found, Skipped)
    assert "no input or output is an RGB picture" in found.reason


SUMMARY = """
import os, sys
from coreai.authoring import AIModelAsset
told = AIModelAsset.load({0!r}).summary()
for name in sorted(told.function_names):
    print(name, told.function_inputs(name), told.function_outputs(name))
sys.stdout.flush()
os._exit(0)
"""


def asked(program: str) -> str:
    line = [sys.executable, "-c", program]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=120).stdout


def test_apples_package_reads_the_file_as_one_with_images(tmp_path: Path) -> None:
    artifact = lowered(doubling_graph((12, 16)), "fp16", tmp_path)
    assert isinstance(artifact, Artifact)
    assert asked(SUMMARY.format(str(artifact.path))).splitlines() == [
        "main [('image', 'Image (16 × 12, 32BGRA)')] [('restored', 'Image (32 × 24, 32BGRA)')]",
        "tensors [('image', 'NDArray (UInt8, 12 × 16 × 4)')] [('restored', 'NDArray (UInt8, 24 × 32 × 4)')]",
    ]
    program = (artifact.path / beta.PROGRAM).read_bytes()
    assert not [word for word in (b".py", str(tmp_path).encode(), b"/site-packages") if word in program]


@pytest.mark.skipif(sys.platform != "linux", reason="Apple's systems have CoreVideo")
def test_its_runtime_here_still_cannot_be_given_an_image() -> None:
    """Once it can, ``main`` of the image variant can be run, and ``beta.NOT_RUN`` is history."""
    assert asked("import coreai.runtime as r; print(r.HAS_IMAGE_SUPPORT)").split() == ["False"]
