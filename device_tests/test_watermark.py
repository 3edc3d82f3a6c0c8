"""Embedder and reader on runtimes: proven, and the bits of one's picture read by the other, in int8, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clearport
from clearport.bundle.folder import Bundle
from clearport.models import samples
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.evaluation.limits import Limits
from clearport.pipeline.evaluation.measured import MeasuredOutcome
from clearport.pipeline.run import RunRequest, restore_picture

pytestmark = pytest.mark.slow


def export(name: str, out: Path) -> Bundle:
    return clearport.export(
        name, out, size="128x128", targets=("onnxruntime",), precisions=("fp32", "int8"), measure=False
    )


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("marks")
    return {name: export(name, folder / name) for name in ("wmembed", "wmread")}


def test_both_are_proven(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        assert bundle.passed, bundle.manifest.failures()


def test_what_one_int8_file_writes_the_other_reads(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    save_png(tmp_path / "photo.png", np.ascontiguousarray(load_rgb(samples.golden())[100:228, 100:228]))
    bits = np.random.default_rng(0).integers(0, 2, (1, 32)).astype(np.float32)
    np.save(tmp_path / "bits.npy", bits)
    inputs = (tmp_path / "photo.png", tmp_path / "bits.npy")
    marked, read = tmp_path / "marked.png", tmp_path / "read.npy"
    restore_picture(RunRequest(bundles["wmembed"].folder, inputs, marked, "onnxruntime", "int8"))
    restore_picture(RunRequest(bundles["wmread"].folder, (marked,), read, "onnxruntime", "int8"))
    assert ((np.load(read) > 0) == (bits > 0)).mean() >= 0.95


@pytest.mark.parametrize("name", ["wmembed", "wmread"])
def test_bit_errors_are_judged_after_every_attack(bundles: dict[str, Bundle], name: str, tmp_path: Path) -> None:
    for number, path in enumerate(samples.calibration()[:3]):
        save_png(tmp_path / f"{number}.png", load_rgb(path))
    outcome = clearport.evaluate(bundles[name].folder, tmp_path, limits=Limits(max_drop=3.0))
    assert isinstance(outcome, MeasuredOutcome)
    assert outcome.passed, outcome.checks
    names = [metric.name for metric in outcome.metrics]
    assert names == ["bit errors", "none", "JPEG 50", "half size", "blur 1", "crop", "PSNR"]
    for row in outcome.rows:
        found = dict(zip(names, row.figures, strict=True))
        assert found["none"].value <= 2.0
        assert found["PSNR"].value > 33.0
