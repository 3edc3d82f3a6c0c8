"""Networks of plain operators as TFLite files, read back from disk by LiteRT and by TensorFlow's interpreter.

Float files against PyTorch, int8 files against the QDQ model in ONNX Runtime, at a small size; and the published NCNet
weights at 360x640 against the int8 files that their authors released.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import Artifact, Graph, Options, Size
from clearport.errors import RuntimeFailure
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.operators import sizes as graph_sizes
from clearport.pictures.images import load_rgb
from clearport.quantized import QuantizedGraph
from clearport.registry import NETWORKS, missing

if missing(("ai-edge-litert", "flatbuffers")):
    pytest.skip("ai-edge-litert is not installed", allow_module_level=True)

from clearport.export.from_torch import export_graph
from clearport.export.tflite.lint import nnapi
from clearport.export.tflite.target import TARGET
from clearport.models import samples, weights
from clearport.models.metrics import psnr_db
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.quantize import qdq
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.runtime import parity, pixels
from clearport.runtime.runners import tensorflow as run_tensorflow
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    import torch

    from clearport.base import Array, IODType, Precision
    from clearport.pictures.images import Image8

SIZE = Size(48, 64)
"""What the other networks need more than these two is in ``zoo.py`` and in the tests of the rules."""

KINDS: tuple[tuple[Precision, IODType], ...] = (
    ("fp32", "float32"),
    ("fp16", "float32"),
    ("int8", "uint8"),
    ("int8", "int8"),
    ("int8", "float32"),
)
QUICK = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)


@dataclass(frozen=True)
class Network:
    """A network's graphs, a photo, and what PyTorch and the QDQ model make of it."""

    graph: Graph
    quantized: QuantizedGraph
    photo: Image8
    torch: parity.Reference
    qdq: parity.Reference

    def artifact(self, precision: Precision, io: IODType, folder: Path, size: Size | None = SIZE) -> Artifact:
        (artifact,) = TARGET.lower(target_graph(self.graph, self.quantized, precision), Options(size, io), folder)
        assert isinstance(artifact, Artifact)
        return artifact


@pytest.fixture(scope="module", params=("ncnet", "mobilederain"))
def network(request: pytest.FixtureRequest) -> Network:
    import onnxruntime as ort

    spec = NETWORKS.get(request.param)
    module = weights.load(spec, spec.default_scale).module
    graph = export_graph(module, spec, spec.default_scale, SIZE)
    quantized = quantize(graph, [load_rgb(path) for path in samples.calibration()[:3]], QUICK)
    photo = np.ascontiguousarray(load_rgb(samples.golden())[100 : 100 + SIZE.height, 200 : 200 + SIZE.width])
    model = qdq.to_qdq(quantized, activations="uint8", io="uint8")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(graphs.to_bytes(model), options, providers=["CPUExecutionProvider"])
    levels = session.run(None, {"image": np.ascontiguousarray(photo.transpose(2, 0, 1)[None])})[0]
    return Network(
        graph,
        quantized,
        photo,
        parity.Reference.of("PyTorch fp32", _torch(module, graph, photo), graph.output),
        parity.Reference("QDQ", levels[0].transpose(1, 2, 0).astype(np.float32)),
    )


def _torch(module: torch.nn.Module, graph: Graph, photo: Image8) -> Array:
    import torch

    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(pixels.to_tensor(photo, graph.input))))


def _run(artifact: Artifact, photo: Image8, runner: str = "litert", python: str | None = None) -> Array:
    source, result = artifact.inputs[0], artifact.outputs[0]
    alone = None if python is None else Worker(runner, artifact.path, python=python)
    with alone or open_worker(runner, artifact, 1, TIMEOUT_S) as worker:
        return worker.run({source.name: pixels.to_tensor(photo, source)})[result.name]


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_a_file_gives_what_its_reference_gives(
    network: Network, precision: Precision, io: IODType, tmp_path: Path
) -> None:
    artifact = network.artifact(precision, io, tmp_path)
    reference = network.qdq if precision == "int8" else network.torch
    report = parity.compare(_run(artifact, network.photo), artifact, reference, "ran on LiteRT")
    assert report.passed, report.failures
    if precision == "int8":
        assert report.exact_share is not None
        assert report.exact_share > 0.98


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_a_file_of_free_size_gives_the_same(
    network: Network, precision: Precision, io: IODType, tmp_path: Path
) -> None:
    if graph_sizes.size_bound(network.graph) is not None:
        pytest.skip("the graph holds its size")
    free, fixed = (network.artifact(precision, io, tmp_path / str(size), size) for size in (None, SIZE))
    assert free.inputs[0].dynamic
    given, wanted = _run(free, network.photo), _run(fixed, network.photo)
    np.testing.assert_allclose(given.astype(np.float32), wanted.astype(np.float32), atol=1e-3)


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_xnnpack_runs_it_as_one_partition(network: Network, precision: Precision, io: IODType, tmp_path: Path) -> None:
    artifact = network.artifact(precision, io, tmp_path)
    with open_worker("litert", artifact, 1, TIMEOUT_S) as worker:
        facts = worker.facts()
    assert (facts["unit"], facts["delegate"], facts["partitions"]) == ("cpu", "XNNPACK", 1)
    # LiteRT's own kernel does what XNNPACK has not: int8 to uint8 and back
    assert facts["operators_outside"] == ({"QUANTIZE": 2} if io == "uint8" else {})
    assert facts["executed_precision"] == ("int8" if precision == "int8" else "float32")
    assert not {"TRANSPOSE", "RESHAPE", "RELU"} & set(facts["operators"])


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_nnapi_takes_all_of_it(network: Network, precision: Precision, io: IODType, tmp_path: Path) -> None:
    report = nnapi.lint(network.artifact(precision, io, tmp_path).path)
    assert report.api_level in {29, 30}, report.refused(31)
    assert report.partitions(report.api_level) == 1


@pytest.mark.parametrize(("precision", "io"), KINDS)
def test_tensorflow_gives_the_same(network: Network, precision: Precision, io: IODType, tmp_path: Path) -> None:
    python = run_tensorflow.interpreter()
    if python is None:
        pytest.skip(f"no TensorFlow: {run_tensorflow.VARIABLE} may name a Python that has it")
    artifact = network.artifact(precision, io, tmp_path)
    ours, theirs = _run(artifact, network.photo), _run(artifact, network.photo, "tensorflow", python)
    np.testing.assert_allclose(ours.astype(np.float32), theirs.astype(np.float32), atol=1e-2)


def test_kernels_without_xnnpack_are_near(network: Network, tmp_path: Path) -> None:
    artifact = network.artifact("int8", "uint8", tmp_path)
    tensor = pixels.to_tensor(network.photo, artifact.inputs[0])
    with Worker("litert", artifact.path, options={"xnnpack": False}) as worker:
        report = parity.compare(worker.run({"image": tensor})["restored"], artifact, network.qdq, "LiteRT's kernels")
        assert worker.facts()["delegate"] is None
    assert report.passed, report.failures


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_a_clear_error(network: Network, kept: float, tmp_path: Path) -> None:
    artifact = network.artifact("int8", "uint8", tmp_path)
    data = artifact.path.read_bytes()
    artifact.path.write_bytes(data[: int(len(data) * kept)])
    with (
        pytest.raises(RuntimeFailure, match=r"litert, opening .*_int8\.tflite: ValueError: "),
        Worker("litert", artifact.path),
    ):
        pass


def test_another_size_than_the_file_has_is_a_clear_error(network: Network, tmp_path: Path) -> None:
    artifact = network.artifact("int8", "uint8", tmp_path)
    image = np.zeros((1, 20, 20, 3), np.uint8)
    with (
        Worker("litert", artifact.path) as worker,
        pytest.raises(RuntimeFailure, match=r"the file expects shape \[1, 48, 64, 3\], not \[1, 20, 20, 3\]"),
    ):
        worker.run({"image": image})


def test_a_name_that_the_file_has_not_is_a_clear_error(network: Network, tmp_path: Path) -> None:
    artifact = network.artifact("int8", "uint8", tmp_path)
    with (
        Worker("litert", artifact.path) as worker,
        pytest.raises(RuntimeFailure, match=r"the file.s inputs are \['image'\], not \['picture'\]"),
    ):
        worker.run({"picture": np.zeros((1, 48, 64, 3), np.uint8)})


@pytest.mark.slow
def test_int8_is_nearer_to_the_float_network_than_the_files_of_its_authors(shared: Path, tmp_path: Path) -> None:
    spec, photo = NETWORKS.get("ncnet"), load_rgb(samples.golden())
    module = weights.load(spec, 3, shared / "weights/ncnet/ncnet_x3_fp32.pth").module
    size = Size(*photo.shape[:2])
    graph = export_graph(module, spec, 3, size)
    quantized = quantize(graph, [load_rgb(path) for path in samples.calibration()])
    (artifact,) = TARGET.lower(target_graph(graph, quantized, "int8"), Options(size, "uint8"), tmp_path)
    assert isinstance(artifact, Artifact)
    wanted = pixels.to_image(_torch(module, graph, photo), graph.output)
    ours = psnr_db(pixels.to_image(_run(artifact, photo), artifact.outputs[0]), wanted, 0)
    for name in ("published_model", "published_model_none"):
        with Worker("litert", shared / f"weights/ncnet/{name}.tflite") as worker:
            (theirs,) = worker.run({"input_1": photo[None]}).values()
            assert worker.facts()["operators_outside"]["RELU"] == 1
        assert ours > psnr_db(theirs[0], wanted, 0) + 2
