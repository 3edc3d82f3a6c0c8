"""Parses the log of Rockchip's toolkit: the unit of each layer, memory, and errors.

Its table of layers is the only report of unsupported operators. The cycles in it are those of convolutions only, so
they are not a time estimate.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TITLE = "Network Layer Information Table"
_PREFIX = re.compile(r"^[A-Z] RKNN: \[[\d:.]+\] ?")
_LAYER = re.compile(r"^\d+\s+(?P<operator>\S+)\s+(?P<dtype>[A-Z]+\d*)\s+(?P<target>[CNG]PU)\s(?P<rest>.*)$")
_NAME = re.compile(r"\s\w+:(\S+)\s*$")
_MEMORY = re.compile(r"Total (Internal|Weight) Memory Size: ([\d.]+)KB")
_ERROR = re.compile(r"^E (?:RKNN: \[[\d:.]+\] )?(?P<words>.+)$")
_ENDS = ("InputOperator", "OutputOperator")
_PRECISIONS = {"INT8": "int8", "FLOAT16": "float16"}


@dataclass(frozen=True)
class Layer:
    """A compiled layer; ``name`` is the graph's, possibly truncated."""

    operator: str
    dtype: str
    unit: str
    name: str


def layers(said: str) -> tuple[Layer, ...]:
    """The rows of the last table without input and output layers; empty without a table."""
    rows: list[Layer] = []
    within = False
    for line in _plain(said):
        if _TITLE in line:
            rows, within, rules = [], True, 0
            continue
        if not within:
            continue
        text = _PREFIX.sub("", line).strip()
        rules += set(text) == {"-"}
        within = rules < 3
        found = _LAYER.match(text)
        if found and found["operator"] not in _ENDS:
            name = _NAME.search(found["rest"])
            rows.append(Layer(found["operator"], found["dtype"], found["target"].lower(), name[1] if name else ""))
    return tuple(rows)


def per_unit(table: tuple[Layer, ...]) -> dict[str, dict[str, int]]:
    """Unit -> operator -> count."""
    units = sorted({layer.unit for layer in table}, reverse=True)
    counts = {unit: Counter(layer.operator for layer in table if layer.unit == unit) for unit in units}
    return {unit: dict(sorted(found.items())) for unit, found in counts.items()}


def precision(table: tuple[Layer, ...]) -> str:
    """Precision of the NPU's layers: ``int8``, ``float16``, both joined by ``+``, or ``unknown``."""
    kinds = {_PRECISIONS.get(layer.dtype, layer.dtype.lower()) for layer in table if layer.unit == "npu"}
    return "+".join(sorted(kinds, reverse=True)) or "unknown"


def memory_kib(said: str) -> dict[str, float]:
    """``internal`` (activations) and ``weight`` memory on the chip in KiB."""
    return {kind.lower(): float(size) for kind, size in _MEMORY.findall(said)}


def errors(said: str) -> tuple[str, ...]:
    """Its error messages, one sentence each, without tracebacks and versions."""
    found = (_ERROR.match(line.strip()) for line in _plain(said))
    words = [match["words"].strip() for match in found if match]
    return tuple(dict.fromkeys(w for w in words if not w.endswith("(most recent call last):") and "version" not in w))


def _plain(said: str) -> list[str]:
    return _ANSI.sub("", said).replace("\r", "\n").splitlines()
