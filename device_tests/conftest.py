"""A real bundle, exported once per test process, and the command line as a user calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import clearport
from clearport.bundle.folder import Bundle
from clearport.models import samples
from clearport.pictures.images import load_rgb, save_png
from clearport.quantize.flow import QuantizeOptions
from tests.called import Outcome, called

__all__ = ("SIZE", "Outcome", "called", "command", "few_photos", "once", "plain_ranges")

SIZE = "40x56"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which devices and networks ``test_matrix.py`` is about."""
    group = parser.getgroup("clearport")
    group.addoption("--device", action="append", help="address of 'clearport devices'; several times (default: host)")
    group.addoption("--unit", action="append", choices=("cpu", "gpu", "npu"), help="unit of the devices")
    group.addoption("--network", action="append", help="network of 'clearport list', or all (default: ncnet)")
    group.addoption("--python-there", default="", help="interpreter on a phone or board")
    group.addoption("--known-hosts", type=Path, help="pinned host keys for SSH")
    group.addoption("--identity", type=Path, help="private key for SSH")


def command(*words: str | Path, **options: Any) -> Outcome:
    """Run ``clearport`` as a user does."""
    line = [sys.executable, "-m", "clearport", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def plain_ranges() -> Iterator[None]:
    """Within the block exports search no ranges and compensate no rounding: for tests of other things than int8."""
    with pytest.MonkeyPatch.context() as patch:
        simple = partial(QuantizeOptions, equalization=(0.0,), search=False, compensate=False)
        patch.setattr("clearport.pipeline.int8.QuantizeOptions", simple)
        yield


def once(factory: pytest.TempPathFactory, name: str, *, searched: bool = False, **options: Any) -> Bundle:
    """NCNet x3 with its bundled weights, exported by the first of the test processes that asks for this ``name``.

    Its int8 files are a user's, who lets clearport search, where ``searched`` is set.
    """
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # the one that the processes of a run have in common
    folder = place / name
    with FileLock(place / f"{name}.lock"):
        if not folder.exists():  # a bundle appears when it is complete
            with nullcontext() if searched else plain_ranges():
                clearport.export("ncnet", folder, **{"size": SIZE, "measure": False, **options})
    return Bundle.load(folder)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """NCNet x3 at every target and precision; not to be changed by a test."""
    return once(tmp_path_factory, "exported", searched=True)


@pytest.fixture(scope="session")
def few_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small photos: calibration that takes no time, for tests that are not about its quality."""
    folder = tmp_path_factory.mktemp("photos")
    for path in samples.calibration()[:2]:
        save_png(folder / path.name, np.ascontiguousarray(load_rgb(path)[:64, :64]))
    return folder


@pytest.fixture(scope="session")
def two_targets(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet x3 for TFLite and ONNX Runtime in fp32 and int8; not to be changed by a test."""
    options = {"targets": ("tflite", "onnxruntime"), "precisions": ("fp32", "int8"), "calibration": few_photos}
    return once(tmp_path_factory, "two_targets", **options)


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet x3 with 16-bit activations; not to be changed by a test."""
    options = {"targets": ("onnxruntime",), "precisions": ("int8a16",), "calibration": few_photos}
    return once(tmp_path_factory, "wide", **options)


@pytest.fixture(scope="session")
def int8_pair(tmp_path_factory: pytest.TempPathFactory, few_photos: Path) -> Bundle:
    """NCNet x3 in int8 for TFLite and ONNX Runtime; not to be changed by a test."""
    options = {"targets": ("tflite", "onnxruntime"), "precisions": ("int8",), "calibration": few_photos}
    return once(tmp_path_factory, "int8_pair", **options)


@pytest.fixture
def bundle(exported: Bundle, tmp_path: Path) -> Bundle:
    """A copy of the bundle that a test may spoil."""
    folder = tmp_path / "bundle"
    shutil.copytree(exported.folder, folder)
    return Bundle.load(folder)
