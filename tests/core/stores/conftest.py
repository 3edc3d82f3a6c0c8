"""A bundle of synthetic files, and a separate folder for downloads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from clearport.bundle import folder as bundle_folder
from clearport.bundle.folder import Bundle
from clearport.cli import app as cli


@pytest.fixture(scope="session")
def kept_bundle(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Tests must not modify it."""
    made: Bundle = make_bundle(tmp_path_factory.mktemp("stores") / "bundle")
    return made


@pytest.fixture
def own(kept_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy that a test may modify."""
    return Bundle.load(Path(shutil.copytree(kept_bundle.folder, tmp_path / "own")))


@pytest.fixture(scope="session")
def other(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another bundle of the same network."""
    made: Bundle = make_bundle(tmp_path_factory.mktemp("stores") / "other", height=24, width=32)
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where downloads go."""
    monkeypatch.setenv("CLEARPORT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "downloads"


def enlarged(bundle: Bundle, size: int) -> Bundle:
    """The bundle with a scale table of ``size`` bytes."""
    pattern = bytes(range(251)) * (size // 251 + 1)
    (bundle.folder / "scales.json").write_bytes(pattern[:size])
    return bundle_folder.write(bundle.folder, bundle.manifest)


def clearport(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    monkeypatch.setattr("sys.argv", ["clearport", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, shown.out + shown.err
