"""The worker as one file: a zip application with the modules of clearport that it needs on a device.

The modules follow from their imports. Nothing is installed there: Python runs the file, which unpacks beside itself.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from clearport.registry import RUNNERS
from clearport.runtime.worker.launch import package_folders

NAME = "clearport-worker.pyz"
ROOTS = ("clearport.runtime.worker.guard", "clearport.runtime.worker.child")

_MAIN = """import os
import sys
import zipfile

place = os.path.join(os.path.dirname(sys.argv[0]), "modules")
if not os.path.isdir(place):  # unpacked beside the archive: some modules run as scripts
    temporary = f"{place}.{os.getpid()}"
    zipfile.ZipFile(sys.argv[0]).extractall(temporary)
    try:
        os.rename(temporary, place)
    except OSError:  # another worker was faster
        pass
sys.path[0] = place

from clearport.runtime.worker.guard import main

sys.exit(main())
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def worker_archive(runners: Iterable[str], folder: Path) -> Path:
    """Write the worker with ``runners`` into ``folder``. The same modules give the same bytes."""
    roots = [*ROOTS, *map(RUNNERS.module, runners)]
    path = folder / NAME
    with zipfile.ZipFile(path, "w") as archive:  # stored, not packed: the device's Python may lack zlib
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN)
        for module, source in sorted(modules(roots).items()):
            inner = module.replace(".", "/") + ("/__init__.py" if source.name == "__init__.py" else ".py")
            archive.writestr(zipfile.ZipInfo(inner, _EPOCH), source.read_bytes())
    return path


def modules(roots: Iterable[str]) -> dict[str, Path]:
    """Every module of clearport that ``roots`` import, directly or transitively, at module level or in functions."""
    found: dict[str, Path] = {}
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = source = _file(name)
        todo += [parent for parent in (name.rpartition(".")[0],) if parent]
        todo += _imports(source)
    return found


@cache
def _imports(source: Path) -> tuple[str, ...]:
    """The modules of clearport that a file imports."""
    tree = ast.parse(source.read_bytes())
    return tuple({name for node in _running(tree) for name in _named(node) if _exists(name)})


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes except those under ``TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _running(child)


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)  # a module, or a name in one


def _exists(name: str) -> bool:
    return name.partition(".")[0] == "clearport" and _place(name) is not None


def _file(name: str) -> Path:
    place = _place(name)
    if place is None:
        raise ModuleNotFoundError(f"{name} is not a module of clearport")
    return place


def _place(name: str) -> Path | None:
    """The file of a module or package."""
    folders = package_folders()
    package = next(
        (known for known in sorted(folders, key=len, reverse=True) if f"{name}.".startswith(f"{known}.")), None
    )
    if package is None:
        return None
    path = Path(folders[package], *name.removeprefix(package).strip(".").split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
