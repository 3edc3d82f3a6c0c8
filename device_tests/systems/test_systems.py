"""Systems from export to files that run: the whole is proven, repeats, is timed, and is refused once it was changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from clearport.base import Size
from clearport.bundle.system import System
from clearport.cli.app import app
from clearport.errors import BadInput
from clearport.models import samples, weights
from clearport.pipeline.sources.request import ExportRequest
from clearport.pipeline.systems.bench import bench_system
from clearport.pipeline.systems.evaluate import evaluate_system
from clearport.pipeline.systems.export import export_system
from clearport.pipeline.systems.run import SystemRequest, run_system
from clearport.pipeline.systems.verify import verify_system
from clearport.registry import NETWORKS

pytestmark = pytest.mark.slow
"""An export of two networks takes half a minute; programs and ``system.json`` have fast tests in ``tests/``."""


def fresh(name: str, folder: Path) -> Path:
    """Weights of a fixed seed whose every layer changes something."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        module = NETWORKS.get(name).build(1)
        for parameter in module.parameters():
            if not parameter.any():
                parameter.add_(0.02 * torch.randn_like(parameter))
    path = folder / f"{name}.safetensors"
    weights.save(path, module, name, 1, {})
    return path


def exported(name: str, network: str, folder: Path, **options: Any) -> System:
    plain = {"targets": ("onnxruntime",), "precisions": ("fp32",), "measure": False}
    request = ExportRequest(name, folder / name, weights=fresh(network, folder), **(plain | options))
    return export_system(request)


@pytest.fixture(scope="module")
def matting(tmp_path_factory: pytest.TempPathFactory) -> System:
    return exported("matting", "matcoarse", tmp_path_factory.mktemp("matting"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.open(samples.golden()).crop((100, 50, 340, 230)).save(path)
    return path


def test_the_whole_is_proven_and_checked_again(matting: System) -> None:
    assert matting.passed
    assert [row.key for row in matting.record.rows] == ["onnxruntime/fp32", "onnxruntime/fp32/ort"]
    checks = verify_system(matting.folder)
    assert [check.message for check in checks if check.passed is False] == []
    assert "whole: onnxruntime/fp32" in {check.group for check in checks}


def test_a_click_gives_a_cutout_that_repeats(matting: System, photo: Path, tmp_path: Path) -> None:
    asked = [str(photo), "--click", "120,90", "--click", "-5,5", "--target", "onnxruntime", "--set", "squares=2"]
    outputs = [tmp_path / "a.png", tmp_path / "b.png"]
    for output in outputs:
        done = CliRunner().invoke(app, ["run", str(matting.folder), *asked, "-o", str(output), "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["calls"]["refine"][0] == 2
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    cutout = np.asarray(Image.open(outputs[0]))
    assert cutout.shape == (180, 240, 4)
    np.testing.assert_array_equal(cutout[..., :3], np.asarray(Image.open(photo).convert("RGB")))
    assert np.asarray(Image.open(tmp_path / "a.alpha.png")).shape == (180, 240)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"clicks": ()}, "give at least one --click"),
        ({"clicks": ("240,10",)}, "outside the picture, which is 240x180"),
        ({"clicks": ("ten,10",)}, "expected X,Y in pixels"),
        ({"settings": ("squares=65",)}, "squares=65: expected 0 to 64"),
        ({"settings": ("rounds=1",)}, "no setting 'rounds'"),
        ({"inputs": ()}, "'picture' .picture. was not given"),
        ({"precision": "int8"}, "cannot be run as onnxruntime/int8"),
        ({"output": Path("cut.jpg")}, "ends in .png"),
    ],
)
def test_what_cannot_be_run_is_told(
    matting: System, photo: Path, tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    plain = {"inputs": (str(photo),), "output": tmp_path / "x.png", "clicks": ("9,9",), "target": "onnxruntime"}
    with pytest.raises(BadInput, match=why):
        run_system(SystemRequest(matting.folder, **(plain | changed)))
    assert not (tmp_path / "x.png").exists()


def test_whole_and_parts_are_timed_and_judged(matting: System, photo: Path, tmp_path: Path) -> None:
    times = bench_system(matting.folder, runs=1, json_file=tmp_path / "times.json")
    assert times.rows[0].parts["refine"].calls == 8
    assert times.rows[0].parts["coarse"].calls == 1
    assert json.loads((tmp_path / "times.json").read_text())["rows"][0]["samples_ms"]
    outcome = evaluate_system(matting.folder, photo.parent)
    assert [row.subject for row in outcome.rows] == ["pytorch", "onnxruntime/fp32", "onnxruntime/fp32/ort"]
    assert outcome.rows[1].sad == pytest.approx(outcome.rows[0].sad, rel=1e-4)
    assert outcome.rows[0].sad != outcome.rows[0].rough_sad


def test_a_changed_part_fails_and_is_not_run(matting: System, photo: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(matting.folder, tmp_path / "changed"))
    weights_file = folder / "parts" / "coarse" / "weights.safetensors"
    file = next((folder / "parts" / "coarse" / "onnxruntime").glob("*fp32.onnx"))
    for path in (weights_file, file):
        path.write_bytes(path.read_bytes()[:-1] + b"\0\1")
    failed = {check.group for check in verify_system(folder) if check.passed is False}
    assert "whole" in failed
    with pytest.raises(BadInput, match=file.name):
        run_system(SystemRequest(folder, (str(photo),), tmp_path / "x.png", ("9,9",), target="onnxruntime"))


def test_sindiffusion_runs_in_int8_and_draws_by_its_seed(tmp_path: Path) -> None:
    options = {"size": Size(16, 16), "targets": ("tflite",), "precisions": ("fp32", "fp16", "int8")}
    system = exported("sindiffusion", "sinstep", tmp_path, **options)
    table = json.loads((system.folder / "parts" / "step" / "scales.json").read_text())
    assert "the program's inputs to this part" in json.dumps(table)
    told = {row.key for row in system.record.rows} | {skipped.what for skipped in system.record.skipped}
    assert told == {"tflite/fp32", "tflite/fp16", "tflite/int8"}
    pictures = []
    for number, seed in enumerate((3, 3, 4)):
        output = tmp_path / f"{number}.png"
        ran = run_system(SystemRequest(system.folder, (), output, seed=seed, precision="fp32"))
        assert ran.calls["step"][0] == 20
        pictures.append(output.read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]
