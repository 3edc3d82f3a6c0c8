"""Every network for deraining on every target: proven, or skipped with a reason that is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import zoo

NAMES = zoo.names("deraining")


@pytest.mark.parametrize("name", NAMES)
def test_it_reaches_every_target(name: str, tmp_path: Path, few_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.reaches_every_target(name, tmp_path, few_photos, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_passes_at_every_precision(name: str, tmp_path: Path) -> None:
    zoo.passes_at_every_precision(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_takes_any_size(name: str, tmp_path: Path, few_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.takes_any_size(name, tmp_path, few_photos, monkeypatch)
