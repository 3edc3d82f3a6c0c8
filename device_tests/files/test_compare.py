"""``clearport inspect`` and ``compare`` on files that were really exported, in a bundle and out of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.formats.compare import CompareRequest, compare
from clearport.pipeline.formats.compared import Compared
from clearport.pipeline.formats.read import described
from device_tests.conftest import called


def test_every_file_says_what_the_manifest_says(exported: Bundle) -> None:
    """Work and ends of each format are those of the network; ncnn tells no work."""
    read = [a for a in exported.artifacts if a.target != "coreai" and a.variant != "ort"]
    assert {a.target for a in read} == {"tflite", "onnxruntime", "openvino", "ncnn", "coreml"}
    for artifact in read:
        found = described(exported.path(artifact))
        assert found.macs in ({None} if artifact.target == "ncnn" else {exported.manifest.model.macs}), artifact.key
        for mine, wanted in ((found.inputs, artifact.inputs), (found.outputs, artifact.outputs)):
            assert [(s.name, s.shape, s.dtype, s.layout) for s in mine] == [
                (s.name, s.shape, s.dtype, s.layout) for s in wanted
            ], artifact.key
        if artifact.precision == "int8":
            assert found.weights["int8"] > 50_000, artifact.key


def test_two_files_of_other_formats_are_compared(two_targets: Bundle, tmp_path: Path) -> None:
    """Outside of their bundle, where an option says what float numbers mean."""
    lone = [
        Path(shutil.copy(two_targets.path(two_targets.find(*key)), tmp_path))
        for key in (("onnxruntime", "fp32"), ("tflite", "int8"))
    ]
    with pytest.raises(BadInput, match=r"the value range of 'image' is unknown; .* --range 0..1"):
        compare(CompareRequest(str(lone[0]), str(lone[1])))
    span = (0.0, 255.0)
    apart = compare(CompareRequest(str(lone[0]), str(lone[1]), span=span, runs=3, seconds=0.05))
    assert apart.psnr_db is not None
    assert 30 < apart.psnr_db < 70
    assert apart.ratio is not None
    assert apart.a.median_ms
    assert apart.b.median_ms
    folder = two_targets.folder
    again = compare(CompareRequest(f"{folder}:onnxruntime/fp32", f"{folder}:tflite/int8", bench=False))
    assert again.pictures == apart.pictures
    assert again.a.why_untimed == "not measured: switched off by --no-bench"


def test_a_file_equals_itself(two_targets: Bundle) -> None:
    path = str(two_targets.path(two_targets.find("tflite", "fp32")))
    found = compare(CompareRequest(path, path, bench=False))
    assert (found.psnr_db, found.pictures[0].max_levels, found.pictures[0].equal_share) == (None, 0, 1.0)


def test_the_commands(two_targets: Bundle) -> None:
    path = two_targets.path(two_targets.find("tflite", "int8"))
    shown = called("inspect", path, "--json").json
    assert (shown["schema_version"], shown["macs"]) == (1, two_targets.manifest.model.macs)
    assert "multiply-accumulates" in called("inspect", path).out
    said = called("compare", path, f"{two_targets.folder}:tflite/fp32", "--no-bench", "--quiet")
    assert said.code == 0
    assert "B to A at 40x56:" in said.out
    plain = called("compare", path, f"{two_targets.folder}:tflite/fp32", "--no-bench", "--quiet", "--json").json
    assert Compared.model_validate(plain, strict=False).pictures[0].max_levels > 0
    wrong = called("compare", path, f"{two_targets.folder}:tflite/fp16", "--quiet")
    assert (wrong.code, "no artifact tflite/fp16" in wrong.err) == (2, True)
