"""The entry of the child of ``Isolated``, which leaves out imports that take half of its start.

ONNX IR imports SymPy, for arithmetic with symbolic sizes that few graphs need: it is imported when they do.
"""

from __future__ import annotations

import gc
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_RARELY_USED = frozenset({"sympy", "onnx_ir._symbolic_shapes"})


class _WhenUsed(MetaPathFinder):
    """Finds modules that are run when something of theirs is used. Only for processes with one thread that imports."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _RARELY_USED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def main() -> int:
    """Import the child, and serve until the parent closes its end."""
    sys.meta_path.insert(0, _WhenUsed())
    gc.disable()  # while libraries are imported, it finds nothing
    from clearport.pipeline.isolated import child

    return child.main()
