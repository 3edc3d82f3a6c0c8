"""The whole path on one real network: every target and precision, written, loaded by its runtime, and proven."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from clearport.base import USUAL_PRECISIONS, Size
from clearport.bundle.folder import Bundle
from clearport.disk.files import digest
from clearport.models import weights
from clearport.pictures.images import load_rgb
from clearport.pipeline.export import _make
from clearport.pipeline.int8 import photos_of
from clearport.pipeline.isolated.process import Isolated
from clearport.pipeline.plan import make_plan
from clearport.pipeline.sources.request import ExportRequest
from clearport.protocols import no_progress
from clearport.registry import NETWORKS, TARGETS
from clearport.runtime.parity import ParityReport
from device_tests.conftest import SIZE
from device_tests.proven import proof_of

CELLS = [(name, p) for name in TARGETS.names() for p in TARGETS.get(name).precisions if p in USUAL_PRECISIONS]


@pytest.mark.parametrize(("target", "precision"), CELLS)
def test_every_cell_is_proven(exported: Bundle, target: str, precision: str) -> None:
    artifacts = [a for a in exported.artifacts if (a.target, a.precision) == (target, precision)]
    assert artifacts
    for artifact in artifacts:
        report = proof_of(artifact)
        if report is not None:
            assert report.passed, report.failures
            assert report.reference == ("QDQ reference" if precision == "int8" else "PyTorch fp32")


def test_sixteen_bit_activations_are_nearer_to_pytorch_than_eight(wide: Bundle, exported: Bundle) -> None:
    (artifact,) = wide.artifacts
    assert artifact.key == "onnxruntime/int8a16"
    assert isinstance(artifact.parity, ParityReport)
    assert artifact.parity.passed, artifact.parity.failures
    assert artifact.parity.reference == "PyTorch fp32"
    int8 = next(a for a in exported.artifacts if a.key == "onnxruntime/int8")
    beside = min(p.psnr_db for p in int8.parities if p.reference == "PyTorch fp32" and p.psnr_db is not None)
    assert artifact.parity.psnr_db is not None
    assert artifact.parity.psnr_db > beside + 3


def test_nothing_was_skipped_and_everything_passed(exported: Bundle) -> None:
    assert exported.manifest.skipped == ()
    assert exported.passed
    assert exported.verify_files() == []


def test_int8_artifacts_are_also_compared_with_pytorch(exported: Bundle) -> None:
    for artifact in exported.artifacts:
        if artifact.precision == "int8" and proof_of(artifact) is not None:
            against_float = [p for p in artifact.parities if p.reference == "PyTorch fp32"]
            assert against_float
            assert all(p.psnr_db is not None and p.psnr_db > 40 for p in against_float)


def test_core_ml_rows_are_labeled_as_what_they_are(exported: Bundle) -> None:
    import sys

    expected = "ran on Core ML" if sys.platform == "darwin" else "reference-evaluated"
    methods = {a.parity.method for a in exported.artifacts if a.target == "coreml"}
    assert methods == {expected}


def test_the_manifest_describes_the_network(exported: Bundle) -> None:
    model = exported.manifest.model
    assert (model.name, model.scale, model.params, model.size, model.halo) == ("ncnet", 3, 52279, SIZE, 7)
    assert model.weights_sha256 == digest(exported.folder / "weights.safetensors")
    assert exported.manifest.quantization is not None
    assert exported.manifest.quantization.images == 8


def test_goldens_have_the_network_s_sizes(exported: Bundle) -> None:
    sizes = {role: load_rgb(exported.path(exported.golden(role))).shape for role in ("input", "float", "int8")}
    assert sizes == {"input": (40, 56, 3), "float": (120, 168, 3), "int8": (120, 168, 3)}


def test_no_file_tells_where_it_was_made(exported: Bundle) -> None:
    places = (str(Path.home()).encode(), str(Path.cwd()).encode(), str(exported.folder.parent).encode())
    for name in exported.manifest.files:
        content = (exported.folder / name).read_bytes()
        assert not [place for place in places if len(place) > 5 and place in content], name


def test_the_same_inputs_give_the_same_bytes(exported: Bundle, tmp_path: Path) -> None:
    plan = make_plan(ExportRequest("ncnet", tmp_path, size=Size.parse(SIZE), cache=False))
    with Isolated() as isolated:
        made = _make(plan, photos_of(plan, no_progress), isolated, tmp_path, no_progress)
    again = {artifact.key: digest(artifact.path) for artifact in made.artifacts}
    assert again == {artifact.key: artifact.sha256 for artifact in exported.artifacts}


def test_reports_are_there_and_name_every_artifact(exported: Bundle) -> None:
    for name in ("report.html", "report.md"):
        text = (exported.folder / name).read_text()
        assert all(a.target in text for a in exported.artifacts)
        assert re.search(r"52\D{0,8}279", text)


def test_golden_float_is_the_network_s_own_output(exported: Bundle) -> None:
    import torch

    module = weights.load(NETWORKS.get("ncnet"), 3).module
    picture = load_rgb(exported.path(exported.golden("input")))
    with torch.inference_mode():
        restored = module(torch.from_numpy(picture).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
    golden = load_rgb(exported.path(exported.golden("float")))
    assert np.abs(restored - golden).max() <= 0.5 + 1e-3


def test_remarks_on_accelerators(exported: Bundle) -> None:
    remarks = {a.key: [f.message for f in a.lint] for a in exported.artifacts}
    all_of_it, by_level = remarks["tflite/int8"]
    assert all_of_it == "NNAPI is predicted to support all 12 operators from API level 30 on, in one part"
    assert "29: 11 of 12 operators in one part, not 1 QUANTIZE" in by_level
    assert by_level.endswith("30 to 35: all 12 operators in one part")
    assert any("Neural Engine" in message for message in remarks["coreml/int8/image"])
    assert remarks["coreml/fp16/image"] == remarks["openvino/int8"] == []
