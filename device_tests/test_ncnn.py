"""Networks of pictures as ncnn files, fp32 and fp16, each loaded from disk by ncnn in a subprocess, against PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clearport.base import Artifact, Options, Precision
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.model_spec import ModelSpec
from clearport.models import samples
from clearport.pictures.images import load_rgb
from clearport.registry import NETWORKS, RUNNERS, TARGETS, missing
from clearport.runtime import pixels
from clearport.runtime.parity import ParityReport, Reference, compare
from clearport.runtime.worker.worker import Worker

from .zoo.zoo import small_size

if missing(("ncnn",)):
    pytest.skip("ncnn is not installed", allow_module_level=True)

SIDE = 32
QUICK = {"iagc", "mobilederain", "snetvnet", "xlsr"}
"""The others wait for ``make test-all``: the tests of the zoo prove their fp16 files."""
NETWORK_NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
    for name in NETWORKS.names()
    if not (NETWORKS.get(name).inputs or NETWORKS.get(name).outputs)
]
"""From one picture to one picture; what the tests of the zoo prove has any ends, and both precisions."""


def fresh(spec: ModelSpec) -> torch.nn.Module:
    """A network of a fixed seed in which no branch is silent: weights that begin as one number are spread a little."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: torch.nn.Module = spec.build(spec.default_scale)
        with torch.no_grad():
            for weights in module.parameters():
                if weights.min() == weights.max():
                    weights.add_(torch.randn_like(weights) * 0.02)
    return module


def proof(artifact: Artifact, image: np.ndarray, reference: Reference) -> ParityReport:
    with Worker("ncnn", artifact.path) as worker:
        output = worker.run({"image": image})["restored"]
        assert worker.facts()["unit"] == "cpu"
    return compare(output, artifact, reference, RUNNERS.get("ncnn").method)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_both_precisions_are_what_pytorch_gives(name: str, tmp_path: Path) -> None:
    spec = NETWORKS.get(name)
    size = small_size(spec, SIDE)
    module = fresh(spec)
    graph = export_graph(module, spec, spec.default_scale, size)
    picture = np.ascontiguousarray(load_rgb(samples.golden())[: size.height, : size.width])
    image = pixels.to_tensor(picture, graph.input)
    with torch.inference_mode():
        reference = Reference.of("PyTorch fp32", module(torch.from_numpy(image)).numpy(), graph.output)
    precisions: tuple[Precision, ...] = ("fp32", "fp16")
    for precision in precisions:
        (artifact,) = TARGETS.get("ncnn").lower(target_graph(graph, None, precision), Options(size), tmp_path)
        assert isinstance(artifact, Artifact)
        report = proof(artifact, image, reference)
        assert report.passed, (precision, report.failures)
        assert precision == "fp32" or report.psnr_db is not None, "rounded weights changed nothing"


def test_a_file_of_free_size_runs_at_any_size(tmp_path: Path) -> None:
    """RLFN enlarges its attention to the size of another blob."""
    spec = NETWORKS.get("rlfn")
    module = fresh(spec)
    graph = export_graph(module, spec, spec.default_scale, None)
    (artifact,) = TARGETS.get("ncnn").lower(target_graph(graph, None, "fp32"), Options(None), tmp_path)
    assert artifact.inputs[0].dynamic
    for height, width in ((40, 56), (33, 47)):
        picture = np.ascontiguousarray(load_rgb(samples.golden())[:height, :width])
        image = pixels.to_tensor(picture, graph.input)
        with torch.inference_mode():
            reference = Reference.of("PyTorch fp32", module(torch.from_numpy(image)).numpy(), graph.output)
        report = proof(artifact, image, reference)
        assert report.passed, (height, width, report.failures)
