"""What runtimes are known to compute otherwise than ONNX says: the type of a record.

Each runtime has a table of its own, ``quirks/<runtime>.py``. Its target's writer asks it, and writes the operator in a
form that the runtime computes as ONNX Runtime does, or refuses it. ``tests/export/test_quirks.py`` runs each form
without that on the installed version: once a runtime is mended the test fails, and the record and its answer can go.
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
    """One form of an operator, and what becomes of it.

    Attributes:
        name: a few words that no other record of the runtime has.
        seen: the package and the version that it was last seen in.
        operator: the ONNX operator; "" where it is not one operator.
        form: which of its forms.
        instead: what the runtime computes, and how far off that was.
        answer: what the writer does: writes another form, refuses, or never writes the form in the first place.
        how: by what; names the function or the setting.
        holds: whether a node is of the form; never asked where it is "avoided".
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
    """The first of ``quirks`` that a node is a case of."""
    return next((quirk for quirk in quirks if quirk.operator == node.op_type and quirk.holds(node)), None)
