"""The authors' published files, read into our network; and files that only look like them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearport.errors import BadInput
from clearport.models import weights
from clearport.models.importers.checkpoint import Source, opened
from clearport.models.importers.ncnet import published_state_dict, published_tflite
from clearport.models.metrics import psnr_db
from clearport.models.networks.super_resolution.ncnet import SPEC
from clearport.models.training.train import restore
from clearport.pictures.images import load_rgb

FP32 = "weights/ncnet/ncnet_x3_fp32.pth"
TFLITE = ("published_model.tflite", "published_model_none.tflite", "published_model_none_float.tflite")


def quality(network: torch.nn.Module, folder: Path) -> tuple[float, float]:
    """Mean PSNR in dB over a set of pairs, (RGB, Y), border 3."""
    rows = []
    for low in sorted(folder.glob("*_LR.png")):
        high = load_rgb(low.with_name(low.name.replace("_LR", "_HR")))
        made = restore(network, load_rgb(low))
        rows.append((psnr_db(made, high, 3, "RGB"), psnr_db(made, high, 3, "Y")))
    rgb, y = np.mean(rows, axis=0)
    return float(rgb), float(y)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("set5", (31.685, 33.635)),
        pytest.param("set14", (27.950, 29.837), marks=pytest.mark.slow),
    ],
)
def test_published_weights_give_the_published_quality(shared: Path, name: str, expected: tuple[float, float]) -> None:
    loaded = weights.load(SPEC, 3, shared / FP32)
    assert quality(loaded.module, shared / "data/sr" / name / "x3") == pytest.approx(expected, abs=0.005)
    assert "published state dict" in loaded.source


@pytest.mark.parametrize("name", TFLITE)
def test_the_int8_file_holds_the_same_network_up_to_a_step(shared: Path, name: str) -> None:
    pytest.importorskip("ai_edge_litert")
    ours = published_tflite(Source(shared / "weights/ncnet" / name), 3)
    reference = published_state_dict(opened(shared / FP32).sources[0], 3)
    assert ours is not None
    assert reference is not None
    assert ours.keys() == reference.keys()
    for key, value in reference.items():
        if key.endswith("weight"):
            steps = value.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
            assert ((ours[key] - value).abs() <= 0.51 * steps).all(), key
    assert weights.load(SPEC, 3, shared / "weights/ncnet" / name).source == f"{name} (published tflite)"


def test_the_int8_file_restores_as_well_as_its_weights_allow(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    loaded = weights.load(SPEC, 3, shared / "weights/ncnet/published_model_none.tflite")
    rgb, _ = quality(loaded.module, shared / "data/sr/set5/x3")
    assert rgb == pytest.approx(31.685 - 0.026, abs=0.005)  # the loss that int8 weights alone cost


def test_another_scale_than_the_file_has_is_refused(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    for name in (FP32, "weights/ncnet/published_model.tflite"):
        with pytest.raises(BadInput, match=r"x2"):
            weights.load(SPEC, 2, shared / name)


def test_other_files_are_left_to_others(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(b"something else entirely")
    assert published_tflite(Source(tmp_path / "a.tflite"), 3) is None
    assert published_state_dict(Source(tmp_path / "a.tflite"), 3) is None
    assert published_state_dict(opened(shared / "weights/rlfn/rlfn_s_x2.pth").sources[0], 2) is None


def broken(shared: Path, folder: Path, cut: int, flips: list[tuple[int, int]]) -> Path:
    """The published int8 file with its end cut off and some bytes replaced."""
    data = bytearray((shared / "weights/ncnet/published_model.tflite").read_bytes())
    for place, value in flips:
        data[place % len(data)] = value
    data[4:8] = b"TFL3"
    path = folder / "broken.tflite"
    path.write_bytes(bytes(data[: len(data) - cut]))
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.one_of(st.just(0), st.integers(0, 66_000)),
    flips=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=40),
)
def test_a_damaged_flatbuffer_is_an_error_and_never_a_crash(
    shared: Path, tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    pytest.importorskip("ai_edge_litert")
    path = broken(shared, tmp_path, cut, flips)
    with contextlib.suppress(BadInput):
        assert published_tflite(Source(path), 3) is not None


def test_a_truncated_file_says_that_it_is_damaged(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(BadInput, match="damaged or truncated TFLite"):
        published_tflite(Source(broken(shared, tmp_path, 40_000, [])), 3)
    with pytest.raises(BadInput, match="damaged or truncated TFLite"):
        published_tflite(Source(broken(shared, tmp_path, 66_200, [])), 3)
