"""The package table, the tree and the type checkers' view of it agree."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_folder_is_in_the_wheel() -> None:
    folders = {
        p.parent.relative_to(ROOT).as_posix()
        for top in ROOT.iterdir()
        if top.is_dir() and not top.name.startswith((".", "tests", "device_tests", "build", "demo"))
        for p in top.rglob("__init__.py")
    }
    assert set(SETUPTOOLS["package-dir"].values()) == folders
    assert set(SETUPTOOLS["packages"]) == set(SETUPTOOLS["package-dir"])


def test_type_checkers_see_every_module_of_the_root() -> None:
    links = {p.name for p in (ROOT / ".typing" / "clearport").iterdir()}
    modules = {p.name for p in (ROOT / "core").glob("*.py")}
    packages = {name.removeprefix("clearport.") for name in SETUPTOOLS["packages"] if "." in name}
    assert links == modules | packages
    assert all(p.exists() for p in (ROOT / ".typing" / "clearport").iterdir())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, clearport.cli.app; print([m for m in ('torch', 'onnx', 'numpy', 'pydantic') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
