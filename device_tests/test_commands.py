"""The command line on a real bundle: exit codes, JSON, gates, and every kind of picture."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from PIL import Image

import clearport
from clearport.base import Artifact
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pictures.images import is_gray, load_rgb, save_png
from clearport.pipeline.run import usable_runner
from clearport.registry import NETWORKS
from device_tests.conftest import called, command
from device_tests.zoo.zoo import some_weights


def _flip(path: Path, offset: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 4
    path.write_bytes(bytes(data))


def test_list_knows_the_networks_and_targets() -> None:
    found = command("list", "--json").json
    assert {"ncnet"} <= {n["name"] for n in found["networks"]}
    assert {"coreml", "onnxruntime", "openvino", "tflite"} <= {t["name"] for t in found["targets"]}


def test_verify_runs_every_artifact(exported: Bundle) -> None:
    done = command("verify", exported.folder, "--json", "--quiet")
    assert done.code == 0, done.err
    ran = {check["group"] for check in done.json["checks"] if check["passed"] and check["name"].startswith("golden")}
    assert ran == {a.key for a in exported.artifacts}


def test_verify_finds_flipped_bits_and_says_where(two_targets: Bundle, tmp_path: Path) -> None:
    bundle = Bundle.load(Path(shutil.copytree(two_targets.folder, tmp_path / "bundle")))
    records = [bundle.find(target, "int8") for target in ("tflite", "onnxruntime")]
    for record in records:
        _flip(bundle.path(record))
    done = command("verify", bundle.folder, "--json", "--quiet")
    assert done.code == 1
    failed = [check for check in done.json["checks"] if check["passed"] is False]
    assert {check["group"] for check in failed} == {name for record in records for name in (record.path, record.key)}
    for record in records:
        assert any(record.path in check["message"] and record.key in check["message"] for check in failed)


def test_verify_notices_a_lying_manifest(bundle: Bundle) -> None:
    path = bundle.folder / "manifest.json"
    path.write_text(path.read_text().replace('"max_abs"', '"max_abs "', 1))
    done = command("verify", bundle.folder, "--quiet")
    assert done.code == 1
    assert "manifest.json" in done.out


def test_verify_wants_a_bundle(tmp_path: Path) -> None:
    done = command("verify", tmp_path)
    assert done.code == 2
    assert "not a bundle" in done.err


@pytest.mark.parametrize("size", [(1, 1), (40, 56), (97, 131)])
def test_run_restores_any_size(exported: Bundle, tmp_path: Path, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    save_png(tmp_path / "in.png", noise)
    done = command("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--json", "--quiet")
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
    done = command(
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
    done = command("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--quiet")
    assert done.code == 0, done.err
    restored = load_rgb(tmp_path / "out.png")
    assert restored.shape == (72, 90, 3)
    assert is_gray(restored)
    assert "the picture is gray, and so is what was written" in done.out
    assert ("16 bits per channel rounded to 8" in done.out) == (mode == "I;16")


def test_run_says_what_became_of_colors_and_transparency(exported: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (24, 30, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png", icc_profile=b"nonsense")
    done = command("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png", "--json", "--quiet")
    assert done.code == 0, done.err
    assert "its transparency was dropped" in done.json["remark"]
    assert "color profile cannot be used and was ignored" in done.json["remark"]
    save_png(tmp_path / "plain.png", np.ascontiguousarray(noise[..., :3]))
    command("run", exported.folder, tmp_path / "plain.png", "-o", tmp_path / "same.png", "--quiet")
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_eval_judges_the_evaluation_half_and_says_what_it_left(exported: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (72, 90, 3), dtype=np.uint8)
    for half, numbers in (("train", range(1, 3)), ("valid", range(801, 806))):
        for n in numbers:
            save_png(tmp_path / f"DIV2K_{half}_HR" / f"0{n}.png", noise[: 72 if n != 804 else 65])
            save_png(tmp_path / f"DIV2K_{half}_LR_bicubic" / "X3" / f"0{n}x3.png", noise[::3, ::3])
    (tmp_path / "DIV2K_valid_HR" / ".DS_Store").write_bytes(b"litter")
    one = ("--target", "onnxruntime", "--precision", "fp32", "--quiet")
    done = command("eval", exported.folder, "--data", tmp_path, *one, "--json")
    assert done.code == 0, done.err
    assert done.json["images"] == 4
    assert "layout div2k, 5 pairs from DIV2K_valid_LR_bicubic/X3/, DIV2K_valid_HR/" in done.json["found"]
    assert "left out: 2 pairs of the train half" in done.json["found"]
    assert "ignored: DIV2K_valid_HR/.DS_Store" in done.json["found"]
    assert "1 that cannot be used" in done.json["unusable"]
    assert "0804.png: 65x90 pixels" in done.json["unusable"]


def test_run_refuses_what_is_no_picture(exported: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_text("not a picture")
    done = command("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "out.png")
    assert done.code == 2
    assert "in.png" in done.err
    assert not (tmp_path / "out.png").exists()


def test_run_refuses_a_file_that_was_changed(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.path(bundle.find("tflite", "int8"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = command("run", bundle.folder, bundle.path(bundle.golden("input")), "-o", tmp_path / "x.png")
    assert done.code == 2
    assert "tflite/int8): its content differs from its checksum" in done.err
    assert not (tmp_path / "x.png").exists()


def test_run_names_the_artifacts_that_there_are(exported: Bundle, tmp_path: Path) -> None:
    save_png(tmp_path / "in.png", np.zeros((8, 8, 3), np.uint8))
    done = command("run", exported.folder, tmp_path / "in.png", "-o", tmp_path / "o.png", "--precision", "int4")
    assert done.code == 2
    assert "tflite/int8" in done.err


@pytest.fixture
def pairs(exported: Bundle, tmp_path: Path) -> Path:
    """Two pairs whose ground truth is what PyTorch makes of them, so that PyTorch is perfect and int8 is not."""
    picture = load_rgb(exported.path(exported.golden("input")))
    golden = load_rgb(exported.path(exported.golden("float")))
    for name, low, high in (("a", picture, golden), ("b", picture[:, ::-1], golden[:, ::-1])):
        save_png(tmp_path / "pairs" / f"{name}_LR.png", np.ascontiguousarray(low))
        save_png(tmp_path / "pairs" / f"{name}_HR.png", np.ascontiguousarray(high))
    return tmp_path / "pairs"


def test_eval_gates(exported: Bundle, pairs: Path, tmp_path: Path) -> None:
    line = ("eval", exported.folder, "--data", pairs, "--target", "tflite", "--precision", "fp32,int8", "--quiet")
    loose = command(*line, "--json", "--min-psnr", "20")
    assert loose.code == 0, loose.err
    rows = {row["subject"]: row for row in loose.json["rows"]}
    assert {"pytorch", "tflite/fp32", "tflite/int8"} <= set(rows)
    assert rows["tflite/int8"]["drop"]["mean_rgb_db"] > rows["tflite/fp32"]["drop"]["mean_rgb_db"]
    strict = command(*line, "--max-drop", "0.001", "--junit", tmp_path / "junit.xml")
    assert strict.code == 1
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    failed = {case.get("classname") for case in suite.iter("testcase") if case.find("failure") is not None}
    assert any("tflite/int8" in str(name) or "tflite.int8" in str(name) for name in failed)


def test_eval_says_where_most_is_lost_and_when_it_cannot_tell(exported: Bundle, pairs: Path, tmp_path: Path) -> None:
    line = ("eval", exported.folder, "--data", pairs, "--target", "tflite", "--precision", "int8", "--quiet", "--json")
    mine = tmp_path / "mine.png"
    save_png(mine, np.zeros((8, 8, 3), np.uint8))
    kept = mine.read_bytes()
    refused = command(*line, "--worst-tiles", mine)
    assert (refused.code, mine.read_bytes()) == (2, kept), "a user's picture is never replaced"
    first = command(*line, "--worst-tiles", tmp_path / "tiles.png")
    (row,) = (row for row in first.json["rows"] if row["subject"] == "tflite/int8")
    drop = row["drop"]
    assert drop["interval"]["low"] <= drop["mean_rgb_db"] <= drop["interval"]["high"]
    assert {"image", "top", "left", "psnr_db", "baseline_psnr_db"} <= drop["worst_tile"].keys()
    assert load_rgb(tmp_path / "tiles.png").shape[1] > 3 * drop["worst_tile"]["width"]
    within = (drop["mean_rgb_db"] + drop["interval"]["high"]) / 2
    line = (*line, "--worst-tiles", tmp_path / "tiles.png")  # its own picture it replaces
    sure = command(*line, "--max-drop", within, "--confidence", "0.95", "--junit", tmp_path / "junit.xml")
    assert sure.code == 1
    assert [row["verdict"] for row in sure.json["rows"] if row["subject"] == "tflite/int8"] == ["cannot tell"]
    assert "judge more pictures" in (tmp_path / "junit.xml").read_text()
    assert command(*line, "--confidence", "95", "--max-drop", "1").code == 2


def test_a_gate_wants_the_files_that_were_proven(bundle: Bundle, pairs: Path, tmp_path: Path) -> None:
    _flip(bundle.path(bundle.find("tflite", "fp32")))
    line = ("eval", bundle.folder, "--data", pairs, "--target", "tflite", "--precision", "fp32,int8", "--quiet")
    done = command(*line, "--min-psnr", "20", "--json", "--junit", tmp_path / "junit.xml")
    assert done.code == 1, done.err
    failed = [check for check in done.json["checks"] if check["passed"] is False]
    assert [check["group"] for check in failed] == [bundle.find("tflite", "fp32").path]
    judged = {row["subject"] for row in done.json["rows"]}
    assert "tflite/int8" in judged
    assert "tflite/fp32" not in judged
    assert "its content differs" in (tmp_path / "junit.xml").read_text()


def test_a_gate_has_no_baseline_without_the_weights(bundle: Bundle, pairs: Path) -> None:
    _flip(bundle.folder / "weights.safetensors", 5000)
    outcome = clearport.evaluate(bundle.folder, pairs, targets=("tflite",), precisions=("int8",), max_drop=9.0)
    assert not outcome.passed
    assert outcome.rows == ()


def test_what_is_required_must_have_been_judged(exported: Bundle, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_tflite(artifact: Artifact) -> tuple[str, str]:
        if artifact.target == "tflite":
            raise BadInput("LiteRT is not installed")
        return usable_runner(artifact)

    monkeypatch.setattr("clearport.pipeline.eval.usable_runner", not_tflite)
    asked = partial(clearport.evaluate, exported.folder, pairs, targets=("tflite", "onnxruntime"), precisions=("fp32",))
    assert asked(max_drop=9.0).passed
    assert asked(max_drop=9.0, require=("onnxruntime/fp32",)).passed
    lacking = asked(max_drop=9.0, require=("onnxruntime/fp32", "tflite/fp32"))
    assert [check.group for check in lacking.checks if check.passed is False] == ["tflite/fp32"]
    with pytest.raises(BadInput, match=r"--require tflite/int9: .*did you mean tflite/int8"):
        asked(require=("tflite/int9",))


def test_a_gate_that_could_judge_nothing_fails(exported: Bundle, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(artifact: Artifact) -> tuple[str, str]:
        raise BadInput(f"{artifact.key} cannot be run here")

    monkeypatch.setattr("clearport.pipeline.eval.usable_runner", none_here)
    asked = partial(clearport.evaluate, exported.folder, pairs, targets=("tflite",), precisions=("fp32",))
    assert asked().passed
    gated = asked(max_drop=1.0)
    assert not gated.passed
    assert "no artifact could be judged" in gated.checks[-1].message


def test_eval_wants_pairs(exported: Bundle, tmp_path: Path) -> None:
    done = command("eval", exported.folder, "--data", tmp_path)
    assert done.code == 2
    assert "it contains no pictures" in done.err
    assert "a file pairs.json" in done.err


def test_report_is_written_again(bundle: Bundle) -> None:
    (bundle.folder / "report.html").unlink()
    assert command("report", bundle.folder).code == 0
    assert (bundle.folder / "report.html").read_text().lower().startswith("<!doctype html>")


def test_train_writes_weights_that_can_be_exported(tmp_path: Path) -> None:
    from clearport.models import samples

    photos, out = samples.golden().parent, tmp_path / "mine.safetensors"
    line = ("train", "ncnet", "--data", photos, "--out", out, "--scale", "2", "--batch", "2", "--patch", "12")
    done = command(*line, "--steps", "4", "--validate-every", "2")
    assert done.code == 0, done.err
    assert "dB RGB on the validation pictures" in done.out
    assert done.err.count("steps/s") >= 2
    bundle = command(
        *("export", "ncnet", "--scale", "2", "--weights", out, "--size", "16x16", "--out", tmp_path / "bundle"),
        *("--target", "onnxruntime", "--precision", "fp32", "--no-bench", "--quiet", "--json"),
    )
    assert bundle.code == 0, bundle.err
    assert bundle.json["model"]["scale"] == 2


def test_train_refuses_two_lengths(tmp_path: Path) -> None:
    words = ("--steps", "4", "--minutes", "1")
    done = command("train", "ncnet", "--data", tmp_path, "--out", tmp_path / "x.safetensors", *words)
    assert done.code == 2
    assert "not both" in done.err


def test_list_tells_all_of_one_network() -> None:
    shown = command("list", "heavyrain")
    assert shown.code == 0
    assert all(word in shown.out for word in ("1905.05404", "dehaze", "clearport train heavyrain"))
    found = command("list", "rlfn", "--json").json
    assert "rlfn_ntire_x4.pth" in found["published"]
    unknown = command("list", "rlfm")
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
