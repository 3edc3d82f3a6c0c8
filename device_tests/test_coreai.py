"""A bundle with Core AI files that Apple's runtime for Linux is too slow for: proven at 64x64, which the rows say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle
from clearport.registry import missing
from clearport.runtime.parity import ParityReport

from .conftest import called, plain_ranges

if missing(("coreai-core",)) or sys.platform == "darwin":
    pytest.skip("coreai-core for Linux is not installed", allow_module_level=True)

_TWIN = ", its twin for 64x64 pictures"
WAYS = {"180x320": _TWIN, "136x128": _TWIN, "dynamic": ", at 64x64", "64x64": ""}

CASES = [("136x128", "int8"), *(pytest.param(size, "fp32,fp16,int8", marks=pytest.mark.slow) for size in WAYS)]


@pytest.mark.parametrize(("size", "precisions"), CASES)
def test_large_files_are_proven_small_and_say_so(size: str, precisions: str, few_photos: Path, tmp_path: Path) -> None:
    line = ("export", "ncnet", "--out", tmp_path / "out", "--size", size, "--target", "coreai", "--no-bench", "--quiet")
    with plain_ranges():
        done = called(*line, "--precision", precisions, "--calibration", few_photos)
    assert done.code == 0, done.err
    bundle = Bundle.load(tmp_path / "out")
    methods = set()
    for artifact in bundle.artifacts:
        assert isinstance(artifact.parity, ParityReport)
        assert artifact.parity.passed
        methods.add((artifact.variant, artifact.parity.method))
    plain = "ran on Apple's Core AI runtime for Linux (CPU)"
    pixels = f"{plain} by its function for pixels: images need CoreVideo, which only Apple's systems have"
    wanted = {("", f"{plain}{WAYS[size]}"), ("image", f"{pixels}{WAYS[size]}")}
    assert methods == {each for each in wanted if size != "dynamic" or not each[0]}, "images have a fixed size"
    checked = called("verify", bundle.folder)
    assert checked.code == 0, checked.err
    assert ("not run above 128x128 pixels" in checked.out + checked.err) == bool(WAYS[size])
