"""Pairs, scores and drops; the protocol against published figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearport.errors import BadInput
from clearport.pictures.images import save_png
from clearport.runtime import metrics, quality
from clearport.runtime.paired import paired_drop


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def write(folder: Path, *names: str, height: int = 24, width: int = 30) -> None:
    for name in names:
        save_png(folder / name, picture(height, width, seed=len(name)))


def nearest(image: np.ndarray) -> np.ndarray:
    return image.repeat(2, 0).repeat(2, 1)


def test_pairs_beside_each_other(tmp_path: Path) -> None:
    write(tmp_path, "b_LR.png", "a_LR.png", "a_HR.png", "b_HR.png", "other.png")
    assert [(p.name, p.degraded.name, p.clean.name) for p in quality.find_pairs(tmp_path)] == [
        ("a", "a_LR.png", "a_HR.png"),
        ("b", "b_LR.png", "b_HR.png"),
    ]


@pytest.mark.parametrize(
    ("degraded", "clean"), [("input", "target"), ("rainy", "clean"), ("low", "high"), ("LR", "HR"), ("low", "normal")]
)
def test_pairs_in_two_folders(tmp_path: Path, degraded: str, clean: str) -> None:
    write(tmp_path / degraded, "1.png", "2.png")
    write(tmp_path / clean, "1.png", "2.png")
    assert [p.name for p in quality.find_pairs(tmp_path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no pictures"),
        (["x.png"], "no picture pairs"),
        (["a_LR.png", "a_HR.png", "b_LR.png"], r"unpaired: 1 picture \(b\)"),
        (["rainy/1.png", "rainy/2.png", "clean/1.png"], r"2\.png has no target"),
        (["rainy/1.png"], "no picture pairs"),
        (["low/1.txt", "high/1.txt"], "no pictures"),
    ],
)
def test_folders_without_pairs_are_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith(".png"):
            write(tmp_path, name)
        else:
            (tmp_path / name).write_text("")
    with pytest.raises(BadInput, match=message) as refusal:
        quality.find_pairs(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "expected <name>_LR.png beside" in str(refusal.value)


def test_scenes_that_were_held_back(tmp_path: Path) -> None:
    write(tmp_path / "images", "1.png", "2.png", "3.png", "4.png")
    rows = [{"scene": s, "low": f"{low}.png", "normal": f"{normal}.png"} for s, low, normal in ((7, 1, 2), (8, 3, 4))]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    assert [p.name for p in quality.find_pairs(tmp_path)] == ["1", "3"]
    (pair,) = quality.find_pairs(tmp_path, held_back={"8"})
    assert (pair.degraded.name, pair.clean.name) == ("3.png", "4.png")
    with pytest.raises(BadInput, match="lists no held-out picture of this folder"):
        quality.find_pairs(tmp_path, held_back={"9"})


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        quality.find_pairs(tmp_path / "none")


def test_scores_and_their_means(tmp_path: Path) -> None:
    write(tmp_path, "a_LR.png", "b_LR.png", height=20, width=24)
    low = picture(20, 24, seed=8)
    save_png(tmp_path / "a_HR.png", nearest(low))
    noisy = np.clip(nearest(low).astype(int) + 5, 0, 255).astype(np.uint8)
    save_png(tmp_path / "b_HR.png", noisy[:, :-1])
    with pytest.raises(BadInput, match=r"40x47 pixels do not fit b_LR\.png, which is 20x24: expected 40x48 at scale 2"):
        quality.evaluate(quality.find_pairs(tmp_path), nearest, 2, "toy")
    save_png(tmp_path / "b_HR.png", np.pad(noisy, ((0, 1), (0, 1), (0, 0))))
    steps: list[tuple[int, int]] = []
    report = quality.evaluate(quality.find_pairs(tmp_path), nearest, 2, "toy", lambda *s: steps.append(s))
    first, second = report.images
    assert (first.psnr_rgb_db, first.psnr_y_db, first.ssim) == (metrics.PSNR_CAP_DB, metrics.PSNR_CAP_DB, 1.0)
    expected = 10 * np.log10(255**2 / np.mean((nearest(low).astype(float) - noisy)[2:-2, 2:-2] ** 2))
    assert second.psnr_rgb_db == pytest.approx(expected)
    assert report.psnr_rgb_db == pytest.approx((100 + expected) / 2)
    assert "2 pixels cut" in report.protocol
    assert steps == [(1, 2), (2, 2)]


def test_drop_is_paired(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, f"{name}_LR.png", f"{name}_HR.png")
    pairs = quality.find_pairs(tmp_path)
    good = quality.evaluate(pairs, lambda p: p, 1, "toy")
    worse = quality.evaluate(pairs, lambda p: p ^ np.uint8(1), 1, "toy")
    drop = paired_drop(worse, good)
    assert drop.mean_rgb_db == pytest.approx(metrics.PSNR_CAP_DB - 10 * np.log10(255**2))
    assert drop.worst_rgb_db == pytest.approx(drop.mean_rgb_db)
    with pytest.raises(ValueError, match="same pictures"):
        paired_drop(worse, quality.evaluate(pairs[:1], lambda p: p, 1, "toy"))


def test_tiny_pictures_have_no_ssim() -> None:
    assert metrics.ssim(picture(10, 30), picture(10, 30), 0) is None
    assert metrics.ssim(picture(11, 11), picture(11, 11), 0) == pytest.approx(1.0)
    assert metrics.ssim(picture(12, 12), picture(12, 12), 1) is None


def test_ssim_by_its_definition() -> None:
    """Wang et al. 2004, written out for the one window that an 11x11 picture has."""
    a, b = picture(11, 11, 1), picture(11, 11, 2)
    x, y = (metrics.luma(p) for p in (a, b))
    axis = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    w = np.outer(axis, axis) / axis.sum() ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * x * x).sum() - mx**2, (w * y * y).sum() - my**2, (w * x * y).sum() - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert metrics.ssim(a, b, 0) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "rgb", "luma"), [("set5", 28.62, 30.40), ("set14", 25.94, 27.63)])
def test_bicubic_scores_what_the_protocol_promises(shared: Path, name: str, rgb: float, luma: float) -> None:
    def bicubic(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        return np.asarray(Image.fromarray(image).resize((width * 3, height * 3), Image.Resampling.BICUBIC))

    report = quality.evaluate(quality.find_pairs(shared / "data/sr" / name / "x3"), bicubic, 3, f"{name} x3")
    assert report.psnr_rgb_db == pytest.approx(rgb, abs=0.006)
    assert report.psnr_y_db == pytest.approx(luma, abs=0.006)
    assert report.ssim is not None
    assert 0.7 < report.ssim < 0.95


def test_rain_pairs_are_found(shared: Path) -> None:
    pairs = quality.find_pairs(shared / "data/rain/rain100l")
    assert len(pairs) == 60
    assert all(p.degraded.parent.name == "rainy" and p.clean.stem == p.degraded.stem for p in pairs)
