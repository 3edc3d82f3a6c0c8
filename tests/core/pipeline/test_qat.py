"""``clearport train NETWORK --qat``: int8 forms that learn, and what ``export`` makes of them."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clearport
from clearport.base import Size
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.models import attached, weights
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline import qat
from clearport.pipeline.export import export_bundle
from clearport.pipeline.sources.request import ExportRequest
from clearport.pipeline.sources.zoo import zoo_source
from clearport.protocols import no_progress
from clearport.quantize import qdq
from clearport.quantize.flow import QuantizeOptions
from clearport.quantize.trained.options import QatOptions, qat_options
from clearport.quantized import QuantizedGraph
from tests.called import called

pytestmark = pytest.mark.usefixtures("plain_ranges")


@pytest.fixture
def plain_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from ranges without a search, weights rounded to nearest, and small exports: no time; one thread."""
    quick = partial(QuantizeOptions, equalization=(0.0,), search=False, compensate=False)
    monkeypatch.setattr("clearport.pipeline.int8.QuantizeOptions", quick)
    monkeypatch.setattr("clearport.pipeline.plan.USUAL", Size(48, 64))
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small photos of waves with edges."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    y, x = np.mgrid[:64, :80]
    rng = np.random.default_rng(7)
    for number in range(6):
        waves = [np.sin(y * rng.uniform(0.1, 0.8) + x * rng.uniform(0.1, 0.8)) for _ in range(3)]
        picture = 127 + 60 * np.stack(waves, axis=-1) + 50 * (x > 8 * number)[..., None]
        save_png(folder / f"{number}.png", np.clip(picture, 0, 255).astype(np.uint8))
    return folder


def options(photos: Path, out: Path, **more: Any) -> QatOptions:
    given = {"steps": 12, "batch": 2, "patch": 16, "validate_every": 6, "scale": 2, "workers": 0, **more}
    return qat_options("ncnet", data=(photos,), out=out, **given)


def exported(out: Path, given: Path | None, *precisions: str, **more: Any) -> Path:
    request = ExportRequest(
        "ncnet", out, 2, targets=("onnxruntime",), precisions=precisions, weights=given, measure=False, **more
    )
    export_bundle(request)
    return out / "onnxruntime"


def quantized(given: Path) -> QuantizedGraph:
    """The int8 form in a weights file, for another size than that of its calibration."""
    source = zoo_source(ExportRequest("ncnet", Path("unused"), 2, weights=given))
    found = source.trained(source.graph(Size(64, 80), no_progress))
    assert found is not None
    return found


def start_of(photos: Path, folder: Path) -> QuantizedGraph:
    """The form that an export without training has."""
    out = folder / "start.safetensors"
    qat.train_int8(options(photos, out, steps=1, lr=1e-9, force=True))
    return quantized(out)


def fidelity_db(form: QuantizedGraph, photos: Path) -> float:
    """PSNR of the QDQ model, run by ONNX Runtime, to the float network on a photo."""
    image = load_rgb(photos / "0.png")[:64, :80].transpose(2, 0, 1)[None].astype(np.float32)
    made = graphs.session(qdq.to_qdq(form), True).run(None, {form.graph.input.name: image})[0]
    with torch.no_grad():
        wanted = weights.load(SPEC, 2).module(torch.from_numpy(image)).numpy()
    return float(10.0 * np.log10(255.0**2 / np.mean((made - wanted) ** 2)))


@pytest.mark.slow
def test_a_trained_form_is_nearer_to_the_float_network_and_its_files_are_what_was_trained(
    photos: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    made = options(photos, tmp_path / "a.safetensors", steps=60, lr=0.02, validate_every=20)
    result = qat.train_int8(made, on_note=told.append)
    assert result.finished
    card = json.loads(weights.card_path(result.weights).read_text())["int8"]
    before, after = (card["validation"][when] for when in ("before", "after"))
    assert after["psnr_to_float_db"] > before["psnr_to_float_db"] + 0.3
    assert after["loss_to_truth_db"] <= before["loss_to_truth_db"]
    assert result.best_psnr_db == pytest.approx(after["psnr_to_float_db"], abs=1e-3)
    assert f"{after['psnr_to_float_db']:.2f} dB" in told[-1]
    plain = weights.load(SPEC, 2).module.state_dict()
    torch.testing.assert_close(weights.load(SPEC, 2, result.weights).module.state_dict(), plain, atol=0, rtol=0)

    further = options(photos, tmp_path / "b.safetensors", start=result.weights, steps=1, lr=1e-9)
    assert qat.train_int8(further).best_psnr_db == pytest.approx(result.best_psnr_db, abs=0.01)

    form = quantized(result.weights)
    assert form.table.calibration["rounding"] == "trained"
    assert form.table.calibration["training"]["steps_done"] == 60
    assert fidelity_db(form, photos) > fidelity_db(start_of(photos, tmp_path), photos) + 0.3


@pytest.mark.slow
def test_files_are_exported_from_what_was_trained_and_float_ones_from_the_weights(photos: Path, tmp_path: Path) -> None:
    made = options(photos, tmp_path / "a.safetensors", steps=30, lr=0.02, validate_every=15)
    qat.train_int8(made)
    trained = exported(tmp_path / "trained", made.train.out, "fp32", "int8")
    usual = exported(tmp_path / "usual", None, "fp32", "int8")
    same = "ncnet_x2_fp32.onnx"
    assert (trained / same).read_bytes() == (usual / same).read_bytes()
    assert (trained / "ncnet_x2_int8.onnx").read_bytes() != (usual / "ncnet_x2_int8.onnx").read_bytes()
    assert Bundle.load(tmp_path / "trained").passed
    record = json.loads((tmp_path / "trained" / "scales.json").read_text())["calibration"]
    assert record["rounding"] == "trained"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_also_of_a_run_that_was_stopped(photos: Path, tmp_path: Path) -> None:
    first = options(photos, tmp_path / "a.safetensors", lr=0.02)
    assert clearport.train(first).step == 12
    other = options(photos, tmp_path / "b.safetensors", lr=0.02)
    stopped = qat.train_int8(other, lambda progress: os.kill(os.getpid(), signal.SIGINT))
    assert not stopped.finished
    assert stopped.step == 6
    assert not other.train.out.exists()
    resumed = options(photos, tmp_path / "b.safetensors", lr=0.02, resume=True)
    assert qat.train_int8(resumed).finished
    assert resumed.train.out.read_bytes() == first.train.out.read_bytes()
    with pytest.raises(BadInput, match=r"belongs to a different training run \(prefer 'balanced', now 'speed'\)"):
        qat.train_int8(options(photos, tmp_path / "b.safetensors", lr=0.02, resume=True, prefer="speed"))


@pytest.mark.slow
def test_a_training_that_only_harms_keeps_the_start(photos: Path, tmp_path: Path) -> None:
    told: list[str] = []
    made = options(photos, tmp_path / "a.safetensors", steps=4, lr=80.0, validate_every=2)
    qat.train_int8(made, on_note=told.append)
    assert told[-1].startswith("no validation was better than the start, which is kept: int8 at ")
    kept, usual = quantized(made.train.out), start_of(photos, tmp_path)
    assert graphs.to_bytes(qdq.to_qdq(kept)) == graphs.to_bytes(qdq.to_qdq(usual))
    for change, words in (({"prefer": "speed"}, "--prefer speed"), ({"calibration": photos}, "--calibration")):
        with pytest.raises(BadInput, match=f"{words}: the weights hold an int8 form that was trained"):
            exported(tmp_path / "no", made.train.out, "int8", **change)
        with pytest.raises(BadInput, match=f"{words}: the weights hold an int8 form that was trained"):
            qat.train_int8(options(photos, tmp_path / "no.safetensors", start=made.train.out, **change))
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_ground_truth_alone_can_be_learned_from(photos: Path, tmp_path: Path) -> None:
    """What is kept then is what loses least against it."""
    seen: list[float] = []
    made = options(photos, tmp_path / "a.safetensors", loss="l1", lr=0.02, steps=9, validate_every=3)
    qat.train_int8(made, lambda progress: seen.append(progress.y_psnr_db))
    card = json.loads(weights.card_path(made.train.out).read_text())["int8"]["validation"]
    assert card["after"]["loss_to_truth_db"] == pytest.approx(min(*seen, card["before"]["loss_to_truth_db"]), abs=1e-3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"widen": 2}, "--qat does not take --widen"),
        ({"teachers": ("ncnet=a",)}, "--qat does not take --teacher"),
        ({"loss": "l1 + adversarial"}, "--qat does not take the loss adversarial"),
        ({"loss": "l7"}, "unknown loss 'l7'"),
        ({"patch": 4096}, "no picture is large enough for patches of 4096"),
        ({"start": Path("absent.safetensors")}, "expected a weights file"),
    ],
)
def test_bad_options_are_refused_before_anything_is_quantized(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], words: str
) -> None:
    monkeypatch.delattr("clearport.pipeline.qat._start")
    with pytest.raises(BadInput, match=words):
        qat.train_int8(options(photos, tmp_path / "a.safetensors", **given))
    assert not list(tmp_path.iterdir())


def test_a_network_that_gives_no_picture_is_refused(photos: Path) -> None:
    with pytest.raises(BadInput, match="caddm does not give a picture; supported are the tasks deraining, hdr"):
        qat_options("caddm", data=(photos,), out=Path("a.safetensors"))


@pytest.mark.slow
def test_the_command_line_trains_and_says_what_was_reached(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    words = ("train", "ncnet", "--data", photos, "--out", out, "--scale", "2", "--steps", "2", "--batch", "1")
    outcome = called(*words, "--patch", "16", "--qat", "--prefer", "speed", "--workers", "0")
    assert outcome.code == 0, outcome.err
    assert "starts from bundled weights of ncnet x2: int8 at " in outcome.err
    assert f"{out}  " in outcome.out
    assert "dB to the float network on the validation pictures, 2 steps" in outcome.out
    found = attached.attached(out)
    assert found is not None
    assert json.loads(found.text)["table"]["calibration"]["prefer"] == "speed"
    again = called(*words, "--qat")
    assert again.code == 2
    assert "an earlier training left it there" in again.err
    refused = called("train", "ncnet", "--data", photos, "--out", tmp_path / "no.safetensors", "--prefer", "speed")
    assert refused.code == 2
    assert "--prefer and --calibration need --qat" in refused.err
