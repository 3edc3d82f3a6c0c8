"""Graphs and targets: ONNX, the passes over it, and one lowering per target.

The package is callable, because ``clearport.export("ncnet", "out")`` is the public way to export a network and
Python binds this package to the same name: a call is passed on to ``clearport.api.export``.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A callable package: calls go to the public interface, which is in a higher layer and so is imported by name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return importlib.import_module("clearport.api").export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
