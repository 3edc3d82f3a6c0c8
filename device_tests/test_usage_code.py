"""The report's pieces of Python code, run as they stand on a real bundle, give its golden pictures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clearport.bundle.folder import Bundle
from clearport.models.metrics import psnr_db
from clearport.pictures.images import load_rgb
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
