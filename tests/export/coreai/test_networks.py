"""Bundled networks at 64x64 on Apple's runtime: float files against ONNX Runtime, int8 against the QDQ model."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.base import Options, Size
from clearport.export.coreai import beta
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.models import samples, weights
from clearport.pictures.images import load_rgb
from clearport.quantize import flow
from clearport.quantize.qdq import to_qdq
from clearport.registry import NETWORKS, TARGETS, missing
from clearport.runtime import pixels
from tests.export import apart
from tests.export.tflite.harness import PLAIN, onnxruntime

if missing((beta.PACKAGE,)):
    pytest.skip(beta.unusable() or "coreai-core is not installed", allow_module_level=True)

SIZE = Size(64, 64)
BUNDLED = [
    (name, scale)
    for name in NETWORKS.names()
    for scale in NETWORKS.get(name).scales
    if weights.bundled_path(NETWORKS.get(name), scale).is_file() and not NETWORKS.get(name).inputs
]
CASES = [
    pytest.param(name, scale, marks=[] if (name, scale) == ("ncnet", 3) else [pytest.mark.slow], id=f"{name} x{scale}")
    for name, scale in BUNDLED
]
HALF = {"iagc": 60.0}
"""dB of fp16 files of networks whose features depend on the whole picture, such as by attention; others have 65."""
DEEP = 48.0
"""dB between an int8 file and the QDQ model where ties of one step are enlarged by all that follows them."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "scale"), CASES)
def test_a_network_is_what_it_was(name: str, scale: int, tmp_path: Path) -> None:
    spec = NETWORKS.get(name)
    graph = export_graph(weights.load(spec, scale, None).module, spec, scale, SIZE)
    photo = load_rgb(samples.golden())[: SIZE.height, : SIZE.width]
    photos = [load_rgb(path)[:64, :64] for path in samples.calibration()[:2]]
    quantized = flow.quantize(graph, photos, PLAIN)
    image = pixels.to_tensor(photo, graph.input)
    span = graph.output.span[1] - graph.output.span[0]
    wanted = {"fp32": onnxruntime(graph.model, image), "int8": onnxruntime(to_qdq(quantized), image)}
    wanted["fp16"] = wanted["fp32"]
    for precision, least_db in (("fp32", 130.0), ("fp16", HALF.get(name, 65.0)), ("int8", DEEP)):
        began = time.process_time()
        artifact = TARGETS.get("coreai").lower(target_graph(graph, quantized, precision), Options(SIZE), tmp_path)[0]
        assert time.process_time() - began <= 3 or name != "ncnet"
        source, result = artifact.inputs[0], artifact.outputs[0]
        output = apart.run(artifact.path, {source.name: pixels.to_tensor(photo, source)})[result.name]
        given = pixels.dequantize(output, result).astype(np.float64)
        error = np.square(given - wanted[precision]).mean()
        assert 10 * np.log10(span**2 / max(error, 1e-30)) >= least_db, precision
        if name == "ncnet" and precision == "int8":
            assert (np.abs(given - wanted[precision]) < quantized.table[graph.output.name].scale[0] / 2).mean() >= 0.99


OTHERS = [name for name in NETWORKS.names() if name not in dict(BUNDLED) and not NETWORKS.get(name).inputs]


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_network_without_bundled_weights_is_what_it_was(name: str, tmp_path: Path) -> None:
    spec = NETWORKS.get(name)
    torch.manual_seed(0)
    graph = export_graph(spec.build(spec.default_scale), spec, spec.default_scale, SIZE)
    image = pixels.to_tensor(load_rgb(samples.golden())[: SIZE.height, : SIZE.width], graph.input)
    wanted, span = onnxruntime(graph.model, image), graph.output.span[1] - graph.output.span[0]
    for precision in ("fp32", "fp16"):
        artifact = TARGETS.get("coreai").lower(target_graph(graph, None, precision), Options(SIZE), tmp_path)[0]
        found = apart.run(artifact.path, {artifact.inputs[0].name: image})[artifact.outputs[0].name]
        error = np.abs(found.astype(np.float64) - wanted) / span
        if precision == "fp32":
            assert error.max() <= 1e-4, "what is promised of any fp32 file"
        else:
            assert -10 * np.log10(max(np.square(error).mean(), 1e-30)) >= 60, "what is promised of any fp16 file"
