"""What a user may get wrong in an export: a clear message, exit code 2, and nothing half-written."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from clearport.models.weights import bundled_path
from clearport.registry import NETWORKS
from device_tests.conftest import SIZE, Outcome, called, command


def export(out: Path, *words: str | Path) -> Outcome:
    return called("export", "ncnet", "--out", out, "--size", SIZE, "--no-bench", "--quiet", *words)


def refused(done: Outcome, out: Path, *said: str) -> None:
    assert done.code == 2, (done.out, done.err)
    assert "Traceback" not in done.err
    for words in said:
        assert words in done.err
    assert not out.exists()
    assert not list(out.parent.glob(".*partial*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scale", "5"), "supports 2, 3, 4"),
        (("--target", "tflit"), "did you mean 'tflite'?"),
        (("--precision", "int4"), "int4"),
        (("--size", "360"), "HEIGHTxWIDTH"),
        (("--size", "0x0"), "HEIGHTxWIDTH"),
        (("--size", "2x2"), "too small"),
        (("--size", "90000x90000"), "over"),
        (("--io", "int16"), "int16"),
        (("--weights", "gone.safetensors"), "gone.safetensors"),
        (("--calibration", "gone"), "gone"),
        (("--target", "onnxruntime", "--precision", "fp16"), "ONNX Runtime is written in fp32, int8"),
    ],
)
def test_words_that_cannot_be_carried_out(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    refused(export(tmp_path / "out", *words), tmp_path / "out", said)


def test_unknown_networks_and_missing_options(tmp_path: Path) -> None:
    refused(command("export", "ncnot", "--out", tmp_path / "out"), tmp_path / "out", "did you mean 'ncnet'?")
    assert command("export", "ncnet").code == 2


@pytest.fixture
def bad_weights(tmp_path: Path) -> dict[str, Path]:
    good = bundled_path(NETWORKS.get("ncnet"), 3).read_bytes()
    files = {"truncated": good[: len(good) // 2], "foreign": b"no weights at all", "empty": b""}
    places = {name: tmp_path / f"{name}.safetensors" for name in files}
    for name, data in files.items():
        places[name].write_bytes(data)
    places["other scale"] = bundled_path(NETWORKS.get("ncnet"), 2)
    places["pickle"] = tmp_path / "pickle.pth"
    places["pickle"].write_bytes(pickle.dumps({"weights": Path("harmless")}))
    places["not finite"] = tmp_path / "nan.pth"
    state = {key: value * float("nan") for key, value in NETWORKS.get("ncnet").build(3).state_dict().items()}
    torch.save(state, places["not finite"])
    return places


@pytest.mark.parametrize("kind", ["truncated", "foreign", "empty", "other scale", "pickle", "not finite"])
def test_weights_that_cannot_be_used(tmp_path: Path, bad_weights: dict[str, Path], kind: str) -> None:
    path = bad_weights[kind]
    refused(export(tmp_path / "out", "--weights", path), tmp_path / "out", path.name)


def test_calibration_folders_that_hold_nothing_useful(tmp_path: Path) -> None:
    empty = tmp_path / "photos"
    empty.mkdir()
    refused(export(tmp_path / "out", "--calibration", empty), tmp_path / "out", "it contains no pictures")
    (empty / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused(export(tmp_path / "out", "--calibration", empty), tmp_path / "out", "broken.png")


def test_only_bundles_are_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("do not lose me")
    done = export(mine, "--force")
    assert done.code == 2
    assert (mine / "thesis.txt").read_text() == "do not lose me"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = export(tmp_path / "file" / "out")
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_full_disk(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        done = export(place / "out", "--target", "onnxruntime", "--precision", "fp32")
        assert done.code == 2
        assert "disk is full" in done.err
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_export_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    line = [sys.executable, "-m", "clearport", "export", "ncnet", "--out", str(tmp_path / "out"), "--size", SIZE]
    running = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".out.*.partial/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(running.pid, number)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "interrupted" in said
    assert list(tmp_path.iterdir()) == []
