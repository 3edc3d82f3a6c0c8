"""Objects that are discovered by their path: networks (``models/networks/TASK/NAME.py``), systems of several of them
(``models/systems/NAME.py``), targets (``export/NAME/target.py``), runners
(``runtime/runners/NAME.py``) and devices (``runtime/devices/NAME/family.py``).

Adding one means adding one file; there is no list to edit. Names come from the file tree, so listing imports nothing.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from clearport.errors import BadInput


@dataclass(frozen=True)
class Registry:
    """The modules of a package whose paths within it match ``pattern``; each defines ``attribute``.

    The last part of ``pattern`` with a star is the name, as in ``*.py`` or ``*/family.py``. ``kind`` is the word for
    one of them in messages.
    """

    package: str
    pattern: str
    attribute: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """Every name, sorted, without importing any of them."""
        return tuple(sorted(self._modules()))

    def module(self, name: str) -> str:
        """The dotted name of the module that defines ``name``.

        Raises:
            BadInput: there is none; the message lists the names and the nearest one.
        """
        modules = self._modules()
        if name not in modules:
            near = difflib.get_close_matches(name.lower(), modules, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"unknown {self.kind} {name!r}{hint} (available: {', '.join(sorted(modules))})")
        return modules[name]

    def get(self, name: str) -> Any:
        """The object that the module of ``name`` defines.

        Raises:
            BadInput: as ``module``.
        """
        return getattr(importlib.import_module(self.module(name)), self.attribute)

    def _modules(self) -> dict[str, str]:
        """Name -> dotted name of its module."""
        folders = importlib.import_module(self.package).__path__
        return {name: ".".join((self.package, *parts)) for name, parts in _found(tuple(folders), self.pattern).items()}


@cache
def _found(folders: tuple[str, ...], pattern: str) -> dict[str, tuple[str, ...]]:
    """Name -> parts of the path, without suffix, of each module below ``folders``: they are looked through once."""
    starred = [i for i, part in enumerate(pattern.split("/")) if "*" in part][-1]
    paths = [path.relative_to(folder).with_suffix("") for folder in folders for path in Path(folder).glob(pattern)]
    return {path.parts[starred]: path.parts for path in paths if path.name != "__init__"}


SYSTEMS = Registry("clearport.models.systems", "*.py", "SYSTEM", "system")
NETWORKS = Registry("clearport.models.networks", "*/*.py", "SPEC", "network")
TARGETS = Registry("clearport.export", "*/target.py", "TARGET", "target")
RUNNERS = Registry("clearport.runtime.runners", "*.py", "RUNNER", "runner")
DEVICES = Registry("clearport.runtime.devices", "*/family.py", "DEVICE", "device")


def installed_versions(distributions: tuple[str, ...]) -> dict[str, str | None]:
    """Distribution name -> installed version, or None where it is missing."""

    def find(name: str) -> str | None:
        try:
            return _version(name)
        except PackageNotFoundError:
            return None

    return {name: find(name) for name in distributions}


@cache
def _version(name: str) -> str:
    """Cached ``version``, which parses the package's whole metadata; a missing package is looked up again."""
    return version(name)


def missing(distributions: tuple[str, ...]) -> tuple[str, ...]:
    """The ``distributions`` that are not installed."""
    return tuple(name for name, found in installed_versions(distributions).items() if found is None)
