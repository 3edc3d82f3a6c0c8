"""The command line on a real bundle: exit codes, JSON, gates, and every kind of picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from clearport.bundle.folder import Bundle
from clearport.pictures.images import is_gray, load_rgb, save_png
from clearport.registry import NETWORKS
from device_tests.conftest import called, command
from device_tests.proven import proof_of
from device_tests.published import some_weights


def _flip(path: Path, offset: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 4
    path.write_bytes(bytes(data))


def test_list_knows_the_networks_and_targets() -> None:
    found = called("list", "--json").json
    assert {"ncnet"} <= {n["name"] for n in found["networks"]}
    assert {"coreml", "onnxruntime", "openvino", "tflite"} <= {t["name"] for t in found["targets"]}


def test_verify_runs_every_artifact(exported: Bundle) -> None:
    done = called("verify", exported.folder, "--json", "--quiet")
    assert done.code == 0, done.err
    ran = {check["group"] for check in done.json["checks"] if check["passed"] and check["name"].startswith("golden")}
    assert ran == {a.key for a in exported.artifacts if proof_of(a) is not None}


def test_verify_finds_flipped_bits_and_says_where(two_targets: Bundle, tmp_path: Path) -> None:
    bundle = Bundle.load(Path(shutil.copytree(two_targets.folder, tmp_path / "bundle")))
    records = [bundle.find(target, "int8") for target in ("tflite", "onnxruntime")]
    for record in records:
        _flip(bundle.path(record))
    done = called("verify", bundle.folder, "--json", "--quiet")
    assert done.code == 1
    failed = [check for check in done.json["checks"] if check["passed"] is False]
    assert {check["group"] for check in failed} == {name for record in records for name in (record.path, record.key)}
    for record in records:
        assert any(record.path in check["message"] and record.key in check["message"] for check in failed)


def test_verify_notices_a_lying_manifest(bundle: Bundle) -> None:
    path = bundle.folder / "manifest.json"
    path.write_text(path.read_text().replace('"max_abs"', '"max_abs "', 1))
    done = called("verify", bundle.folder, "--quiet")
    assert done.code == 1
    assert "manifest.json" in done.out


def test_verify_wants_a_bundle(tmp_path: Path) -> None:
    done = called("verify", tmp_path)
    assert done.code == 2
    assert "not a bundle" in done.err


@pytest.mark.parametrize("size", [(1, 1), (40, 56), (97, 131)])
def test_run_restores_any_size(exported: Bundle, tmp_path: Path, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    save_png(tmp_path / "in.png", noise)
    done = called("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--json", "--quiet")
    assert done.code == 0, done.err
    assert load_rgb(tmp_path / "out.png").shape == (size[0] * 3, size[1] * 3, 3)
    assert (done.json["height"], done.json["width"]) == (size[0] * 3, size[1] * 3)


def test_tiles_leave_no_seams(exported: Bundle, tmp_path: Path) -> None:
    """The fp32 file in tiles against PyTorch on the uncut picture."""
    import torch

    from clearport.models import weights
    from clearport.registry import NETWORKS

    ramp = np.linspace(0, 255, 90)[:, None, None] * np.linspace(0.2, 1, 130)[None, :, None] * [[[1.0, 0.7, 0.4]]]
    picture = ramp.astype(np.uint8)
    save_png(tmp_path / "in.png", picture)
    done = called(
        "run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--precision", "fp32", "--quiet"
    )
    assert done.code == 0, done.err
    module = weights.load(NETWORKS.get("ncnet"), 3).module
    with torch.inference_mode():
        whole = module(torch.from_numpy(picture).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
    assert np.abs(load_rgb(tmp_path / "out.png") - whole).max() <= 0.51


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P"])
def test_run_takes_every_kind_of_picture(exported: Bundle, tmp_path: Path, mode: str) -> None:
    gray = np.arange(24 * 30, dtype=np.uint16).reshape(24, 30)
    picture = Image.fromarray(gray * 60) if mode == "I;16" else Image.fromarray((gray % 256).astype(np.uint8))
    (picture if mode in {"L", "I;16"} else picture.convert(mode)).save(tmp_path / "in.png")
    done = called("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--quiet")
    assert done.code == 0, done.err
    restored = load_rgb(tmp_path / "out.png")
    assert restored.shape == (72, 90, 3)
    assert is_gray(restored)
    assert "the input is gray, so the luma" in done.out
    assert ("16 bits per channel rounded to 8" in done.out) == (mode == "I;16")


def test_run_says_what_became_of_colors_and_transparency(exported: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (24, 30, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png", icc_profile=b"nonsense")
    done = called("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--json", "--quiet")
    assert done.code == 0, done.err
    assert "its transparency was dropped" in done.json["remark"]
    assert "color profile cannot be used and was ignored" in done.json["remark"]
    save_png(tmp_path / "plain.png", np.ascontiguousarray(noise[..., :3]))
    called("run", exported.folder, tmp_path / "plain.png", "-o", tmp_path / "same.png", "--quiet")
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_run_refuses_what_is_no_picture(exported: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_text("not a picture")
    done = command("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png")
    assert done.code == 2
    assert "in.png" in done.err
    assert not (tmp_path / "out.png").exists()


def test_run_refuses_a_file_that_was_changed(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.path(bundle.find("tflite", "int8"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = called("run", bundle.folder, bundle.path(bundle.golden("input")), "-o", tmp_path / "x.png")
    assert done.code == 2
    assert "tflite/int8): its content differs from its checksum" in done.err
    assert not (tmp_path / "x.png").exists()


def test_run_names_the_artifacts_that_there_are(exported: Bundle, tmp_path: Path) -> None:
    save_png(tmp_path / "in.png", np.zeros((8, 8, 3), np.uint8))
    done = called("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "o.png", "--precision", "int4")
    assert done.code == 2
    assert "tflite/int8" in done.err


def test_report_is_written_again(bundle: Bundle) -> None:
    (bundle.folder / "report.html").unlink()
    assert called("report", bundle.folder).code == 0
    assert (bundle.folder / "report.html").read_text().lower().startswith("<!doctype html>")


def test_train_writes_weights_that_can_be_exported(tmp_path: Path) -> None:
    from clearport.models import samples

    photos, out = samples.golden().parent, tmp_path / "mine.safetensors"
    line = ("train", "ncnet", "--data", photos, "--out", out, "--scale", "2", "--batch", "2", "--patch", "12")
    done = called(*line, "--steps", "4", "--validate-every", "2")
    assert done.code == 0, done.err
    assert "dB RGB on the validation pictures" in done.out
    assert done.err.count("steps/s") >= 2
    bundle = called(
        *("export", "ncnet", "--scale", "2", "--weights", out, "--size", "16x16", "--out", tmp_path / "bundle"),
        *("--target", "onnxruntime", "--precision", "fp32", "--no-bench", "--quiet", "--json"),
    )
    assert bundle.code == 0, bundle.err
    assert bundle.json["model"]["scale"] == 2


def test_train_refuses_two_lengths(tmp_path: Path) -> None:
    words = ("--steps", "4", "--minutes", "1")
    done = called("train", "ncnet", "--data", tmp_path, "--out", tmp_path / "x.safetensors", *words)
    assert done.code == 2
    assert "not both" in done.err


def test_list_tells_all_of_one_network() -> None:
    shown = called("list", "heavyrain")
    assert shown.code == 0
    assert all(word in shown.out for word in ("1905.05404", "dehaze", "clearport train heavyrain"))
    found = called("list", "rlfn", "--json").json
    assert "rlfn_ntire_x4.pth" in found["published"]
    unknown = called("list", "rlfm")
    assert (unknown.code, "did you mean 'rlfn'" in unknown.err) == (2, True)


@pytest.mark.slow
def test_a_knob_changes_what_is_exported(tmp_path: Path) -> None:
    """From the option through the graph to the file on disk, and to PyTorch by the weights that the bundle keeps."""
    weights = some_weights(NETWORKS.get("heavyrain"), tmp_path)
    assert weights is not None
    given = ("heavyrain", "--weights", weights, "--size", "64x64", "--target", "onnxruntime", "--precision", "fp32")
    operators = []
    for value in ("0", "1"):
        out = tmp_path / f"knob{value}"
        done = called("export", *given, "--knob", f"dehaze={value}", "--out", out, "--no-bench", "--quiet")
        assert done.code == 0, done.err
        bundle = Bundle.load(out)
        assert bundle.passed  # the file gives what PyTorch gives with the knob that the bundle's weights name
        assert bundle.manifest.model.card["knobs"] == {"dehaze": float(value)}
        file = next(a for a in bundle.artifacts if a.key == "onnxruntime/fp32")
        operators.append([node.op_type for node in onnx.load(bundle.path(file)).graph.node])
    assert len(operators[0]) > len(operators[1])  # 0 lays all haze over the picture again, and 1 none
