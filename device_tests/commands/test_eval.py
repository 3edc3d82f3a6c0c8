"""``clearport eval`` on a real bundle: gates, baselines, and what it cannot tell."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import clearport
from clearport.base import Artifact
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.run import usable_runner
from device_tests.conftest import called


def _flip(path: Path, offset: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 4
    path.write_bytes(bytes(data))


def test_eval_judges_the_evaluation_half_and_says_what_it_left(exported: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (72, 90, 3), dtype=np.uint8)
    for half, numbers in (("train", range(1, 3)), ("valid", range(801, 806))):
        for n in numbers:
            save_png(tmp_path / f"DIV2K_{half}_HR" / f"0{n}.png", noise[: 72 if n != 804 else 65])
            save_png(tmp_path / f"DIV2K_{half}_LR_bicubic" / "X3" / f"0{n}x3.png", noise[::3, ::3])
    (tmp_path / "DIV2K_valid_HR" / ".DS_Store").write_bytes(b"litter")
    one = ("--target", "onnxruntime", "--precision", "fp32", "--quiet")
    done = called("eval", exported.folder, "--data", tmp_path, *one, "--json")
    assert done.code == 0, done.err
    assert done.json["images"] == 4
    assert "layout div2k, 5 pairs from DIV2K_valid_LR_bicubic/X3/, DIV2K_valid_HR/" in done.json["found"]
    assert "left out: 2 pairs of the train half" in done.json["found"]
    assert "ignored: DIV2K_valid_HR/.DS_Store" in done.json["found"]
    assert "1 unusable" in done.json["unusable"]
    assert "0804.png: 65x90 pixels" in done.json["unusable"]


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
    loose = called(*line, "--json", "--min-psnr", "20")
    assert loose.code == 0, loose.err
    rows = {row["subject"]: row for row in loose.json["rows"]}
    assert {"pytorch", "tflite/fp32", "tflite/int8"} <= set(rows)
    assert rows["tflite/int8"]["drop"]["mean_rgb_db"] > rows["tflite/fp32"]["drop"]["mean_rgb_db"]
    strict = called(*line, "--max-drop", "0.001", "--junit", tmp_path / "junit.xml")
    assert strict.code == 1
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    failed = {case.get("classname") for case in suite.iter("testcase") if case.find("failure") is not None}
    assert any("tflite/int8" in str(name) or "tflite.int8" in str(name) for name in failed)


def test_eval_says_where_most_is_lost_and_when_it_cannot_tell(exported: Bundle, pairs: Path, tmp_path: Path) -> None:
    line = ("eval", exported.folder, "--data", pairs, "--target", "tflite", "--precision", "int8", "--quiet", "--json")
    mine = tmp_path / "mine.png"
    save_png(mine, np.zeros((8, 8, 3), np.uint8))
    kept = mine.read_bytes()
    refused = called(*line, "--worst-tiles", mine)
    assert (refused.code, mine.read_bytes()) == (2, kept), "a user's picture is never replaced"
    first = called(*line, "--worst-tiles", tmp_path / "tiles.png")
    (row,) = (row for row in first.json["rows"] if row["subject"] == "tflite/int8")
    drop = row["drop"]
    assert drop["interval"]["low"] <= drop["mean_rgb_db"] <= drop["interval"]["high"]
    assert {"image", "top", "left", "psnr_db", "baseline_psnr_db"} <= drop["worst_tile"].keys()
    assert load_rgb(tmp_path / "tiles.png").shape[1] > 3 * drop["worst_tile"]["width"]
    within = (drop["mean_rgb_db"] + drop["interval"]["high"]) / 2
    line = (*line, "--worst-tiles", tmp_path / "tiles.png")  # its own picture it replaces
    sure = called(*line, "--max-drop", within, "--confidence", "0.95", "--junit", tmp_path / "junit.xml")
    assert sure.code == 1
    assert [row["verdict"] for row in sure.json["rows"] if row["subject"] == "tflite/int8"] == ["cannot tell"]
    assert "evaluate more pictures" in (tmp_path / "junit.xml").read_text()
    assert called(*line, "--confidence", "95", "--max-drop", "1").code == 2


def test_a_gate_wants_the_files_that_were_proven(bundle: Bundle, pairs: Path, tmp_path: Path) -> None:
    _flip(bundle.path(bundle.find("tflite", "fp32")))
    line = ("eval", bundle.folder, "--data", pairs, "--target", "tflite", "--precision", "fp32,int8", "--quiet")
    done = called(*line, "--min-psnr", "20", "--json", "--junit", tmp_path / "junit.xml")
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
    def not_tflite(artifact: Artifact, *, patient: bool) -> tuple[str, str]:
        if artifact.target == "tflite":
            raise BadInput("LiteRT is not installed")
        return usable_runner(artifact, patient=patient)

    monkeypatch.setattr("clearport.pipeline.evaluation.attempt.usable_runner", not_tflite)
    asked = partial(clearport.evaluate, exported.folder, pairs, targets=("tflite", "onnxruntime"), precisions=("fp32",))
    assert asked(max_drop=9.0).passed
    assert asked(max_drop=9.0, require=("onnxruntime/fp32",)).passed
    lacking = asked(max_drop=9.0, require=("onnxruntime/fp32", "tflite/fp32"))
    assert [check.group for check in lacking.checks if check.passed is False] == ["tflite/fp32"]
    with pytest.raises(BadInput, match=r"--require tflite/int9: .*did you mean tflite/int8"):
        asked(require=("tflite/int9",))


def test_a_gate_that_could_judge_nothing_fails(exported: Bundle, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(artifact: Artifact, *, patient: bool) -> tuple[str, str]:
        del patient
        raise BadInput(f"{artifact.key} cannot be run here")

    monkeypatch.setattr("clearport.pipeline.evaluation.attempt.usable_runner", none_here)
    asked = partial(clearport.evaluate, exported.folder, pairs, targets=("tflite",), precisions=("fp32",))
    assert asked().passed
    gated = asked(max_drop=1.0)
    assert not gated.passed
    assert "no artifact could be judged" in gated.checks[-1].message


def test_eval_wants_pairs(exported: Bundle, tmp_path: Path) -> None:
    done = called("eval", exported.folder, "--data", tmp_path)
    assert done.code == 2
    assert "it contains no pictures" in done.err
    assert "a file pairs.json" in done.err
