"""Files that take any size, and the number formats at both ends of int8 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearport.base import IODType
from clearport.bundle.folder import Bundle
from clearport.models import samples
from clearport.pictures.images import load_rgb, save_png
from device_tests.conftest import called, once
from device_tests.proven import proof_of

ENDS: dict[IODType, dict[str, str]] = {
    "uint8": {"tflite": "uint8", "onnxruntime": "uint8", "openvino": "uint8"},
    "int8": {"tflite": "int8", "onnxruntime": "uint8", "openvino": "uint8"},
    "float32": {"tflite": "float32", "onnxruntime": "float32", "openvino": "float32"},
}


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet x2 in int8 for any size."""
    options: dict[str, Any] = {"targets": ("tflite", "onnxruntime", "openvino"), "precisions": ("int8",)}
    return once(tmp_path_factory, "free", scale=2, size="dynamic", calibration=few_photos, **options)


def test_files_of_any_size_say_so_and_pass(free: Bundle) -> None:
    assert free.manifest.model.size == "dynamic"
    assert free.passed
    for artifact in free.artifacts:
        assert artifact.inputs[0].dynamic
        proof_of(artifact)


@pytest.mark.parametrize("target", ["tflite", "onnxruntime", "openvino"])
def test_they_take_a_picture_of_another_size_uncut(free: Bundle, tmp_path: Path, target: str) -> None:
    picture = load_rgb(samples.golden())[100:177, 200:331]
    save_png(tmp_path / "in.png", np.ascontiguousarray(picture))
    done = called(
        *("run", free.folder, tmp_path / "in.png", "-o", tmp_path / "out.png"),
        *("--target", target, "--json", "--quiet"),
    )
    assert done.code == 0, done.err
    assert done.json["tiles"] == 1
    restored = load_rgb(tmp_path / "out.png")
    assert restored.shape == (154, 262, 3)
    nearest = picture.repeat(2, 0).repeat(2, 1).astype(np.int16)
    assert np.abs(restored - nearest).mean() < 10


@pytest.mark.parametrize("io", ENDS)
def test_number_formats_at_both_ends(tmp_path_factory: pytest.TempPathFactory, few_photos: Path, io: IODType) -> None:
    wanted = ENDS[io]
    options: dict[str, Any] = {"targets": tuple(wanted), "precisions": ("int8",), "calibration": few_photos}
    bundle = once(tmp_path_factory, f"ends_{io}", size="24x32", io=io, **options)
    assert bundle.passed
    for artifact in bundle.artifacts:
        for end in (*artifact.inputs, *artifact.outputs):
            assert end.dtype == wanted[artifact.target], artifact.key
            if end.dtype != "float32":
                assert end.scale == 1.0
                assert end.zero_point == (-128 if end.dtype == "int8" else 0)
