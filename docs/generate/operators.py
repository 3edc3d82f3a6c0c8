"""The table of operators: which targets have a rule for each, and its int8 form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clearport.operators.table import operators
from docs.generate.text import code, page, table

if TYPE_CHECKING:
    from clearport.operators.record import Operator, Rule

RULES: dict[str, Callable[[Operator], Rule | None]] = {
    "tflite": lambda record: record.tflite,
    "coreml": lambda record: record.mil,
    "coreai": lambda record: record.coreai,
    "ncnn": lambda record: record.ncnn,
}
"""Targets whose writers use the records; the others read ONNX."""

_INTRODUCTION = """\
ONNX operators of clearport's dialect, after the passes; many others are decomposed into these before a target sees
the graph. ONNX Runtime and OpenVINO read ONNX and have all of them. *float* means that the operator is computed in
float within an int8 file. `clearport lint` reports the layers of a particular network.
"""


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    rows = [
        (code(record.name), *("yes" if rule(record) else "–" for rule in RULES.values()), _int8(record))
        for record in operators().values()
        if any(rule(record) for rule in RULES.values())
    ]
    yield "reference/operators.md", page("Operators", _INTRODUCTION, table(("operator", *RULES, "int8"), rows))


def _int8(record: Operator) -> str:
    if record.int8 is None:
        return "float"
    return "yes, scale of its input" if record.shares_scale else "yes"
