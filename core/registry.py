"""What is found by file: networks (``models/net_*.py``), targets (``export/to_*.py``), runners (``runtime/run_*.py``)
and devices (``runtime/on_*.py``).

A newcomer is one file that defines one object; nobody edits a list. Names come from the files, so listing
imports nothing.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from clearport.base import BadInput


@dataclass(frozen=True)
class Registry:
    """The modules ``<package>.<prefix><name>``, each of which defines ``attribute``.

    ``kind`` is the word for one of them in messages.
    """

    package: str
    prefix: str
    attribute: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """Every name, sorted, without importing any of them."""
        folder = importlib.import_module(self.package).__path__
        found = (m.name for m in pkgutil.iter_modules(folder))
        return tuple(sorted(n.removeprefix(self.prefix) for n in found if n.startswith(self.prefix)))

    def get(self, name: str) -> Any:
        """The object that the file of ``name`` defines.

        Raises:
            BadInput: there is no such file; the message lists the names and the nearest one.
        """
        if name not in self.names():
            near = difflib.get_close_matches(name.lower(), self.names(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"unknown {self.kind} {name!r}{hint} (there are: {', '.join(self.names())})")
        return getattr(importlib.import_module(f"{self.package}.{self.prefix}{name}"), self.attribute)


NETWORKS = Registry("clearport.models", "net_", "SPEC", "network")
TARGETS = Registry("clearport.export", "to_", "TARGET", "target")
RUNNERS = Registry("clearport.runtime", "run_", "RUNNER", "runner")
DEVICES = Registry("clearport.runtime", "on_", "DEVICE", "device")


def installed_versions(distributions: tuple[str, ...]) -> dict[str, str | None]:
    """Distribution name -> installed version, or None where it is missing."""

    def find(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {name: find(name) for name in distributions}


def missing(distributions: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``distributions`` that are not installed."""
    return tuple(name for name, found in installed_versions(distributions).items() if found is None)
