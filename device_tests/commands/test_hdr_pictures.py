"""Three exposures to high dynamic range: exported, run into files, and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clearport
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.models import samples
from clearport.models.degradations.exposures import Exposures
from clearport.pictures import light, radiance
from clearport.pictures.deep import read_deep
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.evaluation.limits import Limits
from clearport.pipeline.evaluation.measured import MeasuredOutcome
from clearport.pipeline.run import RunRequest, restore_picture

NAMES = ("short", "medium", "long")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Tiles of it have to be cut, which a halo of 26 allows from 64 pixels on."""
    return exported(tmp_path_factory.mktemp("hdr") / "bundle", "fp32")


def exported(out: Path, *precisions: str) -> Bundle:
    return clearport.export("cenhdr", out, size="64x80", targets=("onnxruntime",), precisions=precisions, measure=False)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bracket with its truth, larger than the files."""
    folder = tmp_path_factory.mktemp("brackets") / "scene"
    folder.mkdir()
    made = Exposures(0)(load_rgb(samples.calibration()[1])[20:120, 40:150], np.random.default_rng(1))
    assert made.high is not None
    for name, frame in zip(NAMES, np.split(made.low, 3, axis=2), strict=True):
        save_png(folder / f"{name}.png", np.ascontiguousarray(frame))
    radiance.save(folder / "hdr.hdr", light.linear(made.high))
    return folder


def frames(scene: Path) -> tuple[Path, ...]:
    return tuple(scene / f"{name}.png" for name in NAMES)


@pytest.mark.slow
def test_its_int8_output_has_more_than_256_levels_and_loses_little(scene: Path, tmp_path: Path) -> None:
    bundle, out = exported(tmp_path / "bundle", "int8"), tmp_path / "int8.png"
    assert bundle.passed, bundle.manifest.failures()
    outcome = clearport.evaluate(bundle.folder, scene.parent, limits=Limits(max_drop=0.5))
    assert outcome.passed, outcome.checks
    request = RunRequest(bundle.folder, frames(scene), out, "onnxruntime", "int8")
    assert not restore_picture(request).remark
    deep = read_deep(out)
    assert deep is not None
    assert deep.bits == 16
    assert len(np.unique(deep.values)) > 1000


def test_both_files_hold_the_same_light(bundle: Bundle, scene: Path, tmp_path: Path) -> None:
    for suffix in (".hdr", ".png"):
        asked = RunRequest(bundle.folder, frames(scene), tmp_path / f"o{suffix}", "onnxruntime", "fp32")
        assert restore_picture(asked).tiles > 1
    deep = read_deep(tmp_path / "o.png")
    assert deep is not None
    found = radiance.load(tmp_path / "o.hdr")
    assert np.abs(found - light.linear(deep.values / 65535.0)).max() < 1 / 128


def test_a_bracket_in_the_wrong_order_is_told_and_other_suffixes_are_refused(
    bundle: Bundle, scene: Path, tmp_path: Path
) -> None:
    wrong = RunRequest(bundle.folder, frames(scene)[::-1], tmp_path / "o.hdr", "onnxruntime", "fp32")
    assert "give the shortest exposure first" in restore_picture(wrong).remark
    with pytest.raises(BadInput, match=r"Radiance, or as 16-bit PNG; give a name that ends in \.hdr or \.png"):
        restore_picture(RunRequest(bundle.folder, frames(scene), tmp_path / "o.jpg", "onnxruntime", "fp32"))
    assert [path.name for path in tmp_path.iterdir()] == ["o.hdr"]


def test_it_is_judged_by_psnr_mu(bundle: Bundle, scene: Path) -> None:
    outcome = clearport.evaluate(bundle.folder, scene.parent, limits=Limits(max_drop=1.0, min_psnr=25.0))
    assert isinstance(outcome, MeasuredOutcome)
    assert bundle.passed, bundle.manifest.failures()
    assert outcome.passed, outcome.checks
    network, *files = outcome.rows
    assert [metric.name for metric in outcome.metrics] == ["PSNR-mu", "PSNR-linear"]
    for row in files:
        assert row.figures[0].change == pytest.approx(0.0, abs=0.001)
    frame = (load_rgb(scene / "medium.png") / 255.0) ** light.GAMMA / 4.0
    plain = light.psnr_db(light.mu_law(frame), light.mu_law(radiance.load(scene / "hdr.hdr")))
    assert network.figures[0].value > plain + 10.0, "the medium frame alone clips"


def test_gates_of_restored_pictures_are_refused(bundle: Bundle, scene: Path) -> None:
    with pytest.raises(
        BadInput, match="--max-tile-drop: it compares restored pictures; this task is judged by PSNR-mu"
    ):
        clearport.evaluate(bundle.folder, scene.parent, limits=Limits(max_tile_drop=1.0))
