"""Networks that clearport was not written for: on every target right, or refused with a reason."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearport.base import Graph
from clearport.export.passes import order as passes
from clearport.registry import TARGETS, missing

from .exported import EXPORTERS, exported, graph_of, inputs_of, wanted
from .on_targets import RUNS, on_target
from .zoo import networks

NETWORKS = networks()
QUICK = (
    "bilateral_grid",
    "convex_upsampling",
    "deformable",
    "frames_3d",
    "hat",
    "linear_attention",
    "swin_v2",
    "transposed_convolutions",
    "warp",
)
"""One of each kind, for the everyday suite; ``device_tests/benchmarks/foreign.py`` prints the table of all."""
NOT_EXPORTED = {
    ("bicubic", "legacy"),
    ("color_matrices", "legacy"),
    ("fourier", "legacy"),
    ("gelu_tanh_hard", "legacy"),
    ("pyramid_pooling", "legacy"),
    ("resizes", "legacy"),
    ("spatial_transformer", "legacy"),
    ("tables", "legacy"),
    ("weight_normed", "legacy"),
}
"""What PyTorch's older exporter has no rule for."""
REFUSED = {("top_scores", "ncnn"): "operator TopK"}
"""Network and target -> why it is refused."""


@functools.cache
def brought(name: str, exporter: str) -> tuple[Graph, list[np.ndarray], list[np.ndarray]]:
    """A network's graph behind the passes, its inputs and PyTorch's outputs."""
    network = NETWORKS[name]
    given = inputs_of(network)
    right = wanted(network.module(), given)
    graph = graph_of(exported(network, exporter), name)
    ends = tuple(replace(spec, shape=array.shape) for spec, array in zip(graph.outputs, right, strict=True))
    return passes.run(replace(graph, outputs=ends)), given, right


def check(name: str, exporter: str, target: str, folder: Path) -> None:
    if missing(TARGETS.get(target).requires):
        pytest.skip(f"{target} is not installed")
    graph, given, right = brought(name, exporter)
    outcome = on_target(graph, target, "fp32", given, right, folder)
    if (name, target) in REFUSED:
        assert outcome.word == "refused"
        assert REFUSED[name, target] in outcome.about
    else:
        assert outcome.word == "right", str(outcome)


@pytest.mark.parametrize("target", ["onnxruntime", "tflite"])
@pytest.mark.parametrize("name", QUICK)
def test_a_foreign_network_is_right(name: str, target: str, tmp_path: Path) -> None:
    check(name, "legacy", target, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", RUNS)
@pytest.mark.parametrize(
    ("name", "exporter"), [(n, e) for n in NETWORKS for e in EXPORTERS if (n, e) not in NOT_EXPORTED]
)
def test_every_foreign_network_is_right_or_refused(name: str, exporter: str, target: str, tmp_path: Path) -> None:
    check(name, exporter, target, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["openvino", "tflite", "coreml", "ncnn", "coreai"])
@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_is_near(name: str, target: str, tmp_path: Path) -> None:
    if missing(TARGETS.get(target).requires):
        pytest.skip(f"{target} is not installed")
    graph, given, right = brought(name, "dynamo")
    outcome = on_target(graph, target, "fp16", given, right, tmp_path)
    assert outcome.word == ("refused" if (name, target) in REFUSED else "right"), str(outcome)
