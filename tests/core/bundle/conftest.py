"""A bundle that a test may modify."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle


@pytest.fixture
def copied(pristine: Bundle, tmp_path: Path) -> Bundle:
    return Bundle.load(Path(shutil.copytree(pristine.folder, tmp_path / "copy")))
