"""What a rule is, and how rules are found.

A rule turns one ONNX node into TFLite operators. It lives in a file ``export/tflite/ops_<topic>.py`` and is
registered by the decorator; a new operator is one function in such a file, and nobody edits a list::

    @rule("DepthToSpace")
    def depth_to_space(low: Lowering, node: ir.Node) -> None: ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

    Rule = Callable[[Any, ir.Node], None]  # Any: a Lowering, which asks this module

_PREFIX = "ops_"
_RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of these ONNX operators."""

    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operators, function))
        return function

    return register


@cache
def rules() -> dict[str, Rule]:
    """ONNX operator -> rule, from every ``ops_*.py``."""
    package = importlib.import_module("clearport.export.tflite")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith(_PREFIX):
            importlib.import_module(f"clearport.export.tflite.{module.name}")
    return dict(sorted(_RULES.items()))
