"""Fixtures for tests of outputs: both ways of replacement, and a bundle that a test may modify."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from clearport.bundle.folder import Bundle
from clearport.disk import swap


@pytest.fixture(params=["one step", "two steps"])
def any_swap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of replacement: file systems with and without an atomic exchange of names."""
    if request.param == "two steps":
        monkeypatch.setattr(swap, "_renameat2", lambda: None)


@pytest.fixture(scope="module")
def pristine(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "pristine")


@pytest.fixture
def mine(pristine: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine.folder, tmp_path / "mine"))
