"""The record type of known deviations of runtimes from ONNX.

Each runtime has a table of its own, ``quirks/<runtime>.py``. Its target's writer queries it, and writes the operator in
a form that the runtime computes like ONNX Runtime, or refuses it. ``tests/export/test_quirks.py`` runs each form
without the workaround on the installed version: once a runtime is fixed, the test fails, and the record and its
workaround can be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import onnx_ir as ir

Answer = Literal["rewritten", "refused", "avoided"]


@dataclass(frozen=True)
class Quirk:
    """One deviation: a form of an operator, its wrong result, and the workaround.

    Attributes:
        name: a short name, unique for the runtime.
        seen: the package and version in which it was last seen.
        operator: the ONNX operator; "" where it is not one operator.
        form: the affected form of the operator.
        instead: what the runtime computes instead, and the error.
        answer: the writer's reaction: writes another form, refuses, or never writes the form in the first place.
        how: the function or setting that does so.
        holds: whether a node has the form; not called if it is "avoided".
    """

    name: str
    seen: str
    operator: str
    form: str
    instead: str
    answer: Answer
    how: str
    holds: Callable[[ir.Node], bool] = lambda _: False


def of(node: ir.Node, quirks: Iterable[Quirk]) -> Quirk | None:
    """The first of ``quirks`` that applies to a node."""
    return next((quirk for quirk in quirks if quirk.operator == node.op_type and quirk.holds(node)), None)
