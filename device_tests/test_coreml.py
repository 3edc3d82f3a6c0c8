"""NCNet as Core ML packages, read back from disk, against PyTorch and ONNX Runtime: bundled and published weights."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from clearport.base import Artifact, Graph, Options, Size
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.pictures.images import load_rgb
from clearport.quantized import QuantizedGraph
from clearport.registry import NETWORKS, TARGETS, missing

if missing(("coremltools",)):
    pytest.skip("coremltools is not installed", allow_module_level=True)

from clearport.export.from_torch import export_graph
from clearport.models import samples, weights
from clearport.quantize import flow, qdq, weight_only
from clearport.runtime import parity, pixels
from clearport.runtime.runners.coreml import RUNNER as COREML
from clearport.runtime.runners.milref import RUNNER as MILREF
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array, Precision

SIZE = Size(96, 128)
VARIANTS = {"tensor": 0, "image": 1}
PLAIN = flow.QuantizeOptions(equalization=(0.0,), search=False, compensate=False)  # lowering is tested, not quality


@dataclass(frozen=True)
class Network:
    """The network's graphs, a photo that calibration has not seen, and the float and int8 results on it."""

    graph: Graph
    quantized: QuantizedGraph
    rounded: QuantizedGraph
    photo: Array
    torch: parity.Reference
    qdq: parity.Reference


def published() -> Path:
    place = os.environ.get("CLEARPORT_SHARED")
    if not place:
        pytest.skip("CLEARPORT_SHARED is unset: no published weights on this machine")
    return Path(place) / "weights" / "ncnet" / "ncnet_x3_fp32.pth"


@pytest.fixture(scope="module", params=["bundled", "published"])
def ncnet(request: pytest.FixtureRequest) -> Network:
    import onnxruntime as ort
    import torch

    spec = NETWORKS.get("ncnet")
    module = weights.load(spec, 3, published() if request.param == "published" else None).module
    graph = export_graph(module, spec, 3, SIZE)
    photos = [load_rgb(path)[:192, :256] for path in samples.calibration()]
    quantized = flow.quantize(graph, photos, PLAIN)
    photo = load_rgb(samples.golden())[: SIZE.height, : SIZE.width]
    image = pixels.to_tensor(photo, graph.input)
    with torch.inference_mode():
        restored = module(torch.from_numpy(image)).numpy()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = graphs.to_proto(qdq.to_qdq(quantized)).SerializeToString()
    int8 = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]
    return Network(
        graph,
        quantized,
        weight_only.quantize(graph, photos),
        photo,
        parity.Reference.of("PyTorch", restored, graph.output),
        parity.Reference.of("QDQ", int8, graph.output),
    )


def lowered(ncnet: Network, precision: Precision, variant: str, folder: Path) -> Artifact:
    form = ncnet.rounded if precision == "int8-weights" else ncnet.quantized
    made = TARGETS.get("coreml").lower(target_graph(ncnet.graph, form, precision), Options(), folder)[VARIANTS[variant]]
    assert isinstance(made, Artifact)
    return made


def result(artifact: Artifact, ncnet: Network) -> Array:
    return MILREF.open(artifact.path, 1, {}).run({"image": pixels.to_tensor(ncnet.photo, artifact.inputs[0])})[
        "restored"
    ]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("precision", "least_db"), [("fp32", 90.0), ("fp16", 60.0), ("int8-weights", 48.4), ("int8", 60.0)]
)
def test_parity(precision: Precision, least_db: float, variant: str, ncnet: Network, tmp_path: Path) -> None:
    artifact = lowered(ncnet, precision, variant, tmp_path)
    output = result(artifact, ncnet)
    reference = ncnet.qdq if precision == "int8" else ncnet.torch
    report = parity.compare(output, artifact, reference, "reference-evaluated")
    assert report.max_abs is not None
    assert report.psnr_db is None or report.psnr_db >= least_db
    if precision == "int8":
        assert report.mean_lsb is not None
        assert report.mean_lsb <= 0.05
    if precision == "fp32":
        assert report.max_abs <= (255e-4 if variant == "tensor" else 1.0)


def test_int8_loses_what_the_qdq_model_loses(ncnet: Network, tmp_path: Path) -> None:
    artifact = lowered(ncnet, "int8", "tensor", tmp_path)
    limits = parity.Tolerance("only its PSNR is read")
    ours = parity.compare(result(artifact, ncnet), artifact, ncnet.torch, "reference-evaluated", limits)
    planes = ncnet.qdq.levels.transpose(2, 0, 1)[None]
    theirs = parity.compare(planes, artifact, ncnet.torch, "QDQ", limits)
    assert ours.psnr_db is not None
    assert theirs.psnr_db is not None
    assert abs(ours.psnr_db - theirs.psnr_db) <= 0.05


def test_a_worker_gives_the_same(ncnet: Network, tmp_path: Path) -> None:
    artifact = lowered(ncnet, "int8", "image", tmp_path)
    with Worker("milref", artifact.path, threads=1, timeout_s=120) as worker:
        output = worker.run({"image": pixels.to_tensor(ncnet.photo, artifact.inputs[0])})["restored"]
        facts = worker.facts()
    np.testing.assert_array_equal(output, result(artifact, ncnet))
    assert facts["method"] == "reference-evaluated"
    assert facts["metadata"]["clearport.minimum_deployment_target"] == "iOS17"


@pytest.mark.skipif(sys.platform != "darwin", reason="Core ML runs on macOS only")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-weights", "int8"])
def test_core_ml_gives_what_the_evaluator_gives(
    precision: Precision, variant: str, ncnet: Network, tmp_path: Path
) -> None:
    artifact = lowered(ncnet, precision, variant, tmp_path)
    with Worker("coreml", artifact.path, threads=1, timeout_s=120) as worker:
        output = worker.run({"image": pixels.to_tensor(ncnet.photo, artifact.inputs[0])})["restored"]
    reference = parity.Reference.of("evaluator", result(artifact, ncnet), artifact.outputs[0])
    assert parity.compare(output, artifact, reference, COREML.method).failures == ()


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is there")
def test_where_core_ml_is_missing_the_runner_says_so() -> None:
    assert COREML.unavailable() == "Core ML runs on macOS only"
