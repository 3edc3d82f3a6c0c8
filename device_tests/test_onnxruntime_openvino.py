"""NCNet as ONNX Runtime and OpenVINO files, run from disk in a subprocess: parity, kernels, sizes, broken files."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import Artifact, Graph, Options, Size
from clearport.errors import RuntimeFailure
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.models import samples, weights
from clearport.pictures.images import load_rgb
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.quantize import flow, qdq
from clearport.quantized import QuantizedGraph
from clearport.registry import NETWORKS, RUNNERS, TARGETS, missing
from clearport.runtime import overflow, parity, pixels, tiling
from clearport.runtime.runners.openvino import OpenVinoModel
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array, Precision

SIZE = Size(96, 128)
FILES = [
    ("onnxruntime", "fp32", ""),
    ("onnxruntime", "fp32", "ort"),
    ("onnxruntime", "int8", ""),
    ("onnxruntime", "int8", "ort"),
    ("openvino", "fp32", ""),
    ("openvino", "fp16", ""),
    ("openvino", "int8", ""),
]
EXECUTED = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
LEAST_EXACT = 0.98
"""Share of equal pixels in int8."""


@dataclass(frozen=True)
class Network:
    """The network's graphs and weights, a photo that calibration has not seen, and what becomes of it."""

    graph: Graph
    quantized: QuantizedGraph
    photo: Array
    references: dict[str, parity.Reference]
    weights: Path


@pytest.fixture(scope="module")
def ncnet(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """NCNet for pictures of 96x128."""
    return prepared(SIZE, tmp_path_factory.mktemp("fixed"))


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """NCNet for pictures of any size."""
    return prepared(None, tmp_path_factory.mktemp("dynamic"))


def prepared(size: Size | None, folder: Path) -> Network:
    spec = NETWORKS.get("ncnet")
    module = weights.load(spec, 3).module
    graph = export_graph(module, spec, 3, size)
    quick = flow.QuantizeOptions(equalization=(0.0,), search=False, compensate=False)
    quantized = flow.quantize(graph, [load_rgb(path) for path in samples.calibration()[:3]], quick)
    weights.save(folder / "weights.safetensors", module, "ncnet", 3, {})
    (folder / "qdq.onnx").write_bytes(graphs.to_bytes(qdq.to_qdq(quantized)))
    photo = load_rgb(samples.golden())[: SIZE.height, : SIZE.width]
    image = {"image": pixels.to_tensor(photo, graph.input)}
    references = {}
    for name, runner, file in (("PyTorch", "torch", "weights.safetensors"), ("QDQ", "onnxruntime", "qdq.onnx")):
        with Worker(runner, folder / file, options={"optimize": False}) as worker:
            references[name] = parity.Reference.of(name, worker.run(image)["restored"], graph.output)
    return Network(graph, quantized, photo, references, folder / "weights.safetensors")


def lowered(ncnet: Network, target: str, precision: Precision, variant: str, folder: Path) -> Artifact:
    if missing(TARGETS.get(target).requires):
        pytest.skip(f"{target} is not installed")
    made = TARGETS.get(target).lower(target_graph(ncnet.graph, ncnet.quantized, precision), Options(size=SIZE), folder)
    (artifact,) = (a for a in made if isinstance(a, Artifact) and a.variant == variant)
    return artifact


@pytest.mark.parametrize("size", ["ncnet", "dynamic"])
@pytest.mark.parametrize(("target", "precision", "variant"), FILES)
def test_parity_and_kernels(
    target: str, precision: Precision, variant: str, size: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    ncnet = request.getfixturevalue(size)
    artifact = lowered(ncnet, target, precision, variant, tmp_path)
    source, result = artifact.inputs[0], artifact.outputs[0]
    with open_worker(target, artifact, 1, TIMEOUT_S) as worker:
        output = worker.run({source.name: pixels.to_tensor(ncnet.photo, source)})[result.name]
        facts = worker.facts()
    if target == "openvino" and precision == "int8" and overflow.in_openvino():
        assert facts["executed_precision"] == "float32", "int8 kernels overflow on this CPU"
        facts = OpenVinoModel(artifact.path, {}, "f32").facts()  # as OpenVINO would run it by itself
    reference = ncnet.references["QDQ" if precision == "int8" else "PyTorch"]
    report = parity.compare(output, artifact, reference, RUNNERS.get(target).method)
    assert report.failures == ()
    if precision == "int8":
        assert report.exact_share is not None
        assert report.exact_share >= LEAST_EXACT
        assert facts["int8_share"] == 1.0, "a convolution fell back to float"
    assert facts["executed_precision"] == EXECUTED[precision]
    assert facts["unit"] == "cpu"
    assert facts["operators"]["DepthToSpace"] == 1


@pytest.mark.parametrize("size", ["ncnet", "dynamic"])
@pytest.mark.parametrize(("target", "precision", "variant"), FILES)
def test_any_picture_goes_through(
    target: str, precision: Precision, variant: str, size: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """One pixel, and a picture that is larger than the file in one direction and smaller in the other."""
    ncnet = request.getfixturevalue(size)
    artifact = lowered(ncnet, target, precision, variant, tmp_path)
    spec = NETWORKS.get("ncnet")
    with open_worker(target, artifact, 1, TIMEOUT_S) as worker:
        infer = tiling.engine(worker, artifact)
        for height, width in ((1, 1), (150, 70)):
            picture = load_rgb(samples.golden())[100 : 100 + height, 200 : 200 + width]
            restored = tiling.restore(picture, infer, tiling.Tiling.of(spec, 3, artifact.inputs[0]))
            assert restored.shape == (3 * height, 3 * width, 3)
            low = restored.reshape(height, 3, width, 3, 3).mean((1, 3))
            assert np.abs(low - picture).mean() < 8  # it is the same picture, whole and in its place


def test_tiles_of_a_fixed_file_equal_the_whole_picture_of_a_dynamic_one(
    ncnet: Network, dynamic: Network, tmp_path: Path
) -> None:
    spec = NETWORKS.get("ncnet")
    photo = load_rgb(samples.golden())[:200, :310]
    fixed = lowered(ncnet, "onnxruntime", "fp32", "", tmp_path)
    free = lowered(dynamic, "onnxruntime", "fp32", "", tmp_path / "free")
    pictures = []
    for artifact in (fixed, free):
        with Worker("onnxruntime", artifact.path) as worker:
            cut = tiling.Tiling.of(spec, 3, artifact.inputs[0])
            pictures.append(tiling.restore(photo, tiling.engine(worker, artifact), cut))
    different = np.abs(pictures[0].astype(int) - pictures[1])
    assert different.max() <= 1  # a value next to a half may round the other way: sums run in another order
    assert np.mean(different > 0) < 1e-4


@pytest.mark.parametrize("size", ["truncated", "garbage", "empty"])
@pytest.mark.parametrize(("target", "precision", "variant"), FILES)
def test_broken_files_are_refused_in_the_words_of_the_runtime(
    target: str, precision: Precision, variant: str, size: str, ncnet: Network, tmp_path: Path
) -> None:
    artifact = lowered(ncnet, target, precision, variant, tmp_path)
    file = artifact.path if artifact.path.is_file() else next(artifact.path.glob("*.xml"))
    data = file.read_bytes()
    noise = np.random.default_rng(0).bytes(5000)
    file.write_bytes({"truncated": data[: len(data) // 2], "garbage": noise, "empty": b""}[size])
    with pytest.raises(RuntimeFailure) as failure, Worker(target, artifact.path, timeout_s=60):
        pass
    assert str(artifact.path) in str(failure.value)
    assert failure.match(f"^{target}, opening")
    assert len(str(failure.value)) > len(f"{target}, opening {artifact.path}: ") + 15


def test_an_ir_without_its_constants_is_refused(ncnet: Network, tmp_path: Path) -> None:
    artifact = lowered(ncnet, "openvino", "fp32", "", tmp_path)
    next(artifact.path.glob("*.bin")).unlink()
    with pytest.raises(RuntimeFailure, match=r"openvino, opening"), Worker("openvino", artifact.path):
        pass


def test_wrong_inputs_are_refused_and_the_worker_goes_on(ncnet: Network, tmp_path: Path) -> None:
    artifact = lowered(ncnet, "onnxruntime", "fp32", "", tmp_path)
    image = pixels.to_tensor(ncnet.photo, artifact.inputs[0])
    with Worker("onnxruntime", artifact.path) as worker:
        for wrong in ({"picture": image}, {"image": image.astype(np.uint8)}, {"image": image[:, :2]}):
            with pytest.raises(RuntimeFailure, match="onnxruntime, running"):
                worker.run(wrong)
        assert worker.run({"image": image})["restored"].shape == (1, 3, 3 * SIZE.height, 3 * SIZE.width)


@pytest.mark.parametrize(("target", "precision", "variant"), FILES)
def test_timing_without_copies_runs_the_same_inference(
    target: str, precision: Precision, variant: str, ncnet: Network, tmp_path: Path
) -> None:
    artifact = lowered(ncnet, target, precision, variant, tmp_path)
    image = {"image": pixels.to_tensor(ncnet.photo, artifact.inputs[0])}
    with open_worker(target, artifact, 2, TIMEOUT_S) as worker:
        before = worker.run(image)["restored"]
        timing = worker.measure(image, runs=3, warmup=1)
        after = worker.run(image)["restored"]
        assert worker.facts()["io_copies_counted"] is False
    assert len(timing.wall_ms) == 3
    assert min(timing.wall_ms) > 0.1  # a network of 650 million operations was really run
    np.testing.assert_array_equal(before, after)


def test_weights_that_clearport_did_not_write_are_refused_by_the_baseline(ncnet: Network, tmp_path: Path) -> None:
    from safetensors import numpy as safetensors

    foreign = tmp_path / "foreign.safetensors"
    safetensors.save_file({"w": np.zeros(3, np.float32)}, foreign)
    with pytest.raises(RuntimeFailure, match="does not name its network"), Worker("torch", foreign):
        pass
    shutil.copy(ncnet.weights, foreign)
    foreign.write_bytes(foreign.read_bytes()[:1000])
    with pytest.raises(RuntimeFailure, match="torch, opening"), Worker("torch", foreign):
        pass


def test_another_python_needs_only_numpy_and_the_runtime(ncnet: Network, tmp_path: Path) -> None:
    """``-S`` hides site-packages, and clearport with it; four packages are given back."""
    artifact = lowered(ncnet, "onnxruntime", "int8", "", tmp_path)
    installed, given = Path(np.__file__).parent.parent, tmp_path / "site"
    given.mkdir()
    wanted = ("numpy", "onnxruntime", "flatbuffers", "google", "packaging")
    for place in sorted(p for p in installed.iterdir() if p.name.replace(".", "-").split("-")[0] in wanted):
        (given / place.name).symlink_to(place)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={given} exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    image = {"image": pixels.to_tensor(ncnet.photo, artifact.inputs[0])}
    outputs = []
    for interpreter in (None, str(python)):
        with Worker("onnxruntime", artifact.path, python=interpreter) as worker:
            outputs.append(worker.run(image)["restored"])
    np.testing.assert_array_equal(*outputs)
    assert os.access(python, os.X_OK)
