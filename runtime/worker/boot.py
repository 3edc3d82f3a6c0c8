"""The first script in a worker's Python: it makes ``clearport`` importable, then runs the worker's ``main``.

The argument after the table may name another module of clearport, whose ``main`` is run instead.
The worker's Python may have only numpy and one runtime. Hence the parent passes the folder of each of clearport's
packages as JSON, ``{"clearport": folder, "clearport.runtime": folder, ...}``; nothing has to be installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


_WORKER = "clearport.runtime.worker.child"


class PackageFinder(MetaPathFinder):
    """Finds the packages of a table by their folder."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = self._folders.get(fullname)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, f"{folder}/__init__.py", submodule_search_locations=[folder]
        )


if __name__ == "__main__":
    sys.meta_path.insert(0, PackageFinder(json.loads(sys.argv[1])))
    sys.exit(importlib.import_module((*sys.argv, _WORKER)[2]).main())
