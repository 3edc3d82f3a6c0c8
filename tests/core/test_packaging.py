"""The package table, the tree and the type checkers' view of it agree."""

from __future__ import annotations

import graphlib
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_folder_is_in_the_wheel() -> None:
    folders = {
        p.parent.relative_to(ROOT).as_posix()
        for top in ROOT.iterdir()
        if top.is_dir() and not top.name.startswith((".", "tests", "device_tests", "build", "demo", "docs", "out"))
        for p in top.rglob("__init__.py")
    }
    assert set(SETUPTOOLS["package-dir"].values()) == folders
    assert set(SETUPTOOLS["packages"]) == set(SETUPTOOLS["package-dir"])


def test_type_checkers_see_every_module_of_the_root() -> None:
    links = {p.name for p in (ROOT / ".typing" / "clearport").iterdir()}
    modules = {p.name for p in (ROOT / "core").glob("*.py")}
    packages = {name.split(".")[1] for name in SETUPTOOLS["packages"] if "." in name}
    assert links == modules | packages
    assert all(p.is_symlink() and p.exists() for p in (ROOT / ".typing" / "clearport").iterdir())


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for type checkers count too; the package itself, which offers the public names lazily, does not."""
    graph = grimp.build_graph("clearport", cache_dir=None)
    imports = {m: graph.find_modules_directly_imported_by(m) - {"clearport"} for m in graph.modules if m != "clearport"}
    assert any("clearport.base" in found for found in imports.values())
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the modules


def test_no_folder_is_flat() -> None:
    """A folder of more than 25 files is one that nobody finds anything in."""
    tops = (ROOT / name for name in {*SETUPTOOLS["package-dir"].values(), "tests", "device_tests"})
    folders = {path.parent for top in tops for path in top.rglob("*.py") if "node_modules" not in path.parts}
    full = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in full.items() if count > 25} == {}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, clearport.cli.app; print([m for m in ('torch', 'onnx', 'numpy', 'pydantic') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
