"""The report's pieces of Python code, run as they stand on a real bundle, give its golden pictures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clearport.base import Size
from clearport.bundle.folder import Bundle
from clearport.models.metrics import psnr_db
from clearport.pictures.images import load_rgb, load_stored, save_png
from clearport.pipeline.export import export_bundle
from clearport.pipeline.run import RunRequest, restore_picture
from clearport.pipeline.sources.contract import Contract, Ends
from clearport.pipeline.sources.request import ExportRequest
from clearport.reports.usage import usages


@pytest.mark.parametrize(("target", "ways"), [("onnxruntime", 2), ("openvino", 2), ("ncnn", 1)])
def test_code_gives_the_golden_picture(bundle: Bundle, target: str, ways: int) -> None:
    """Float and int8 artifacts are called differently; ncnn has no int8."""
    shutil.copy(bundle.path(bundle.golden("input")), bundle.folder / "input.png")
    found = [u for u in usages(bundle.manifest) if u.files[0].startswith(f"{target}/")]
    assert len(found) >= ways
    for usage in found:
        run(usage.code, bundle.folder)
        picture = load_rgb(bundle.folder / "restored.png")
        if "int8" in usage.files[0]:
            assert psnr_db(picture, load_rgb(bundle.path(bundle.golden("int8"))), border=0) > 48
        else:
            golden = load_rgb(bundle.path(bundle.golden("float"))).astype(np.int16)
            assert np.abs(picture.astype(np.int16) - golden).max() <= 1


def run(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Several(nn.Module):
    """A picture and a mask to a picture, blue first where it has three channels, and a vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, channels, 3, padding=1)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.relu(self.first(torch.cat([image, mask], 1)))
        return (self.last(features) + 0.45).clamp(0, 1), features.mean((2, 3))


@pytest.mark.parametrize("color", [pytest.param("BGR", marks=pytest.mark.slow), "BGRA"])
def test_code_for_several_ends_gives_what_the_network_gives(color: str, tmp_path: Path) -> None:
    """Each Python snippet, run as it stands; PNG files hold colors in their own order, whatever the network's is."""
    network, (height, width) = Several(len(color)).eval(), (24, 40)
    ends = Ends(name="output_1", kind="picture", color=color, range=(0.0, 1.0))  # type: ignore[arg-type]
    told = Contract(inputs=(Ends(name="mask", kind="map", range=(0.0, 1.0)),), outputs=(ends,))
    request = ExportRequest(
        (network, (torch.rand(1, 3, height, width), torch.rand(1, 1, height, width))),
        tmp_path / "out",
        size=Size(height, width),
        targets=("onnxruntime", "openvino", "ncnn"),
        precisions=("fp32",),
        told=told,
        measure=False,
    )
    bundle = export_bundle(request)
    assert bundle.passed

    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.random.default_rng(1).random((1, 1, height, width), np.float32)
    with torch.inference_mode():
        given = torch.from_numpy(photo.transpose(2, 0, 1)[None] / np.float32(255))
        picture, vector = (found[0].numpy() for found in network(given, torch.from_numpy(mask)))
    wanted = np.rint(picture.transpose(1, 2, 0)[..., [2, 1, 0, 3][: len(color)]] * 255)
    save_png(bundle.folder / "image.png", photo)
    np.save(bundle.folder / "mask.npy", mask)

    found = [usage for usage in usages(bundle.manifest) if usage.title.startswith("Python")]
    assert {usage.files[0].split("/")[0] for usage in found} == {"onnxruntime", "openvino", "ncnn"}
    for usage in found:
        run(usage.code, bundle.folder)
        made = load_stored(bundle.folder / "output_1.png")
        assert np.abs(made.astype(np.int16) - wanted).max() <= 1, usage.files
        np.testing.assert_allclose(np.load(bundle.folder / "output_2.npy").reshape(-1), vector, atol=1e-4)

    files = tuple(str(bundle.folder / name) for name in ("image.png", "mask.npy"))
    restore_picture(RunRequest(bundle.folder, files, tmp_path / "x.png", target="onnxruntime", precision="fp32"))
    assert np.abs(load_stored(tmp_path / "x.png").astype(np.int16) - wanted).max() <= 1
