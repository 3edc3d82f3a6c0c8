"""The bytes of Core AI programs are pinned, so that every machine that runs this test has written the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearport.base import Artifact, Graph, Options, Precision, Size
from clearport.export.coreai import beta
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.models import weights
from clearport.quantized import QParams, QuantizedGraph, ScaleTable
from clearport.registry import NETWORKS, TARGETS, missing
from tests.export.conftest import doubling_graph

if missing((beta.PACKAGE,)):
    pytest.skip(beta.unusable() or "coreai-core is not installed", allow_module_level=True)


def programs(graph: Graph, precision: Precision, folder: Path, form: QuantizedGraph | None = None) -> list[str]:
    """The first digits of the SHA-256 of each variant's program; the metadata beside it has clearport's version."""
    size = Size(*(int(n) for n in graph.input.shape[2:]))
    made = TARGETS.get("coreai").lower(target_graph(graph, form, precision), Options(size), folder)
    assert all(isinstance(each, Artifact) for each in made)
    return [(each.path / beta.HASH).read_bytes().hex()[:16] for each in made if isinstance(each, Artifact)]


def by_hand(graph: Graph) -> QuantizedGraph:
    """With ranges that no calibration measured, since that depends on the processor."""
    activations = dict.fromkeys(("conv1.out", "relu1.out", "conv2.out", "conv3.out", "add1.out"), QParams((2.0,), 0))
    ends = dict.fromkeys(("image", "clip1.out", "restored"), QParams((1.0,), -128))
    kernels = {"w1": QParams((0.005,) * 8, 0, axis=0), "w2": QParams((0.004,) * 12, 0, axis=0)}
    return QuantizedGraph(graph, ScaleTable({**activations, **ends, **kernels}))


@pytest.mark.parametrize(
    ("precision", "pinned"),
    [
        ("fp32", ["299d6cab15e11ebc", "7289c5c5e8305679"]),
        ("fp16", ["079773128fba76c9", "01339c1bf227e6d1"]),
        ("int8", ["3c42713fd4e5725f", "b2d460f6eac9f82b"]),
    ],
)
def test_a_small_network(precision: Precision, pinned: list[str], tmp_path: Path) -> None:
    graph = doubling_graph((12, 16))
    assert programs(graph, precision, tmp_path, by_hand(graph)) == pinned


@pytest.mark.parametrize(
    ("precision", "pinned"),
    [
        ("fp32", ["a712a3d9cfe4288f", "ba800871b16a9ea3"]),
        ("fp16", ["0ffc31ae1d9454fa", "fab81ae91125516e"]),
    ],
)
def test_ncnet(precision: Precision, pinned: list[str], tmp_path: Path) -> None:
    spec = NETWORKS.get("ncnet")
    graph = export_graph(weights.load(spec, 3, None).module, spec, 3, Size(64, 64))
    assert programs(graph, precision, tmp_path) == pinned
