"""fp16 files whose values overflow float16: reported for every one, and marked where the format allows."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from clearport.base import Artifact, Graph, Options
from clearport.export import half_arithmetic
from clearport.export.from_torch import export_graph
from clearport.export.written import target_graph
from clearport.models import weights
from clearport.pipeline.lint.artifact import HALF_RULE, lint
from clearport.registry import NETWORKS, TARGETS, missing

from .tflite.harness import SIZE, Case, build, one, onnxruntime, pictures, real, weight

CONV = {"pads": [1, 1, 1, 1]}
FP16 = [name for name in TARGETS.names() if "fp16" in TARGETS.get(name).precisions]


def through(factor: float) -> Graph:
    """Two convolutions whose weights are ``factor`` times too large and too small."""
    nodes = (("Conv", "image w b", "x", CONV), ("Relu", "x", "r", {}), one("Conv", "r v d", **CONV))
    constants = {
        "w": factor * np.abs(weight(8, 3, 3, 3)),
        "b": weight(8),
        "v": weight(3, 8, 3, 3) / factor,
        "d": weight(3),
    }
    return build(Case(nodes, {name: array.astype(np.float32) for name, array in constants.items()}))


BIG, USUAL = through(1e5), through(1.0)


def written(target: str, graph: Graph, folder: Path) -> Artifact:
    if missing(TARGETS.get(target).requires):
        pytest.skip(f"{target} is not installed")
    artifact = TARGETS.get(target).lower(target_graph(graph, None, "fp16"), Options(SIZE), folder)[0]
    assert isinstance(artifact, Artifact)
    return artifact


def test_numbers_that_float16_does_not_hold_are_measured() -> None:
    found = half_arithmetic.measured(BIG)
    assert not found.fits
    assert found.psnr_db == -math.inf
    assert found.largest > 65504
    assert found.layer in {"Conv_x", "Relu_r"}
    assert half_arithmetic.measured(USUAL).fits


def test_small_numbers_that_lose_their_digits_are_measured() -> None:
    found = half_arithmetic.measured(through(3e-5))
    assert not found.fits
    assert found.largest < 65504
    assert "dB from float32" in str(found)


@pytest.mark.parametrize("target", FP16)
def test_every_fp16_file_tells(target: str, tmp_path: Path) -> None:
    artifact = written(target, BIG, tmp_path)
    warnings = [finding for finding in lint(artifact, BIG) if finding.rule == HALF_RULE]
    if target == "coreml":
        assert not warnings  # it keeps those layers in float32 and says so
        return
    (finding,) = warnings
    assert finding.level == "warning"
    assert "float16 ends at 65504" in finding.message
    (fine,) = (finding for finding in lint(artifact, USUAL) if finding.rule == HALF_RULE)
    assert fine.level == "note"


def test_openvino_is_told_which_layers_to_keep_in_float32(tmp_path: Path) -> None:
    artifact = written("openvino", BIG, tmp_path)
    import openvino as ov

    from clearport.runtime.runners.openvino import RUNNER, xml_of

    kept = {
        node.get_friendly_name()
        for node in ov.Core().read_model(xml_of(artifact.path)).get_ops()
        if "DisablePrecisionConversion_0" in node.get_rt_info()
    }
    assert kept == {"Conv_x/WithoutBiases", "Conv_x", "Relu_r", "Conv_restored/WithoutBiases", "restored"}
    image = real(pictures()[0])
    given = RUNNER.open(artifact.path, 1, {}).run({"image": image})["restored"]
    np.testing.assert_allclose(given, onnxruntime(BIG.model, image), atol=5e-3)
    (finding,) = (finding for finding in lint(artifact, BIG) if finding.rule == HALF_RULE)
    assert "5 of its layers are marked" in finding.message


def test_nothing_is_marked_where_float16_will_do(tmp_path: Path) -> None:
    artifact = written("openvino", USUAL, tmp_path)
    assert "precise" not in next(artifact.path.glob("*.xml")).read_text()


@pytest.mark.slow
def test_fmen_is_black_in_float16() -> None:
    """Its activations reach 2e7."""
    shared = os.environ.get("CLEARPORT_SHARED")
    if not shared:
        pytest.skip("CLEARPORT_SHARED is not set")
    (file,) = Path(shared, "weights", "fmen").glob("*.pth")
    spec = NETWORKS.get("fmen")
    graph = export_graph(weights.load(spec, 4, file).module, spec, 4, SIZE)
    found = half_arithmetic.measured(graph)
    print(found.psnr_db, found.largest, found.layer)  # noqa: T201  a figure for the record
    assert found.psnr_db < 20
    assert found.largest > 1e7
