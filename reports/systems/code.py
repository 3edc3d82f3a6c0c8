"""Python code that runs a system, for its report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.bundle.system import RowRecord, System
    from clearport.programs.program import Input

_FREE = 128
"""Size of dynamic axes in the code, in pixels."""
_ORDER = ("int8", "int8-weights", "fp16", "int8a16", "fp32")


def python(system: System) -> str:
    """A program that runs the system on arrays, from its own folder; empty if no row was proven."""
    row = _row(system)
    return "" if row is None else "\n".join(_lines(system, row)) + "\n"


def _row(system: System) -> RowRecord | None:
    """The row of the smallest precision, preferably of TFLite; rows that were evaluated rather than run come last."""

    def rank(row: RowRecord) -> tuple[bool, int, bool]:
        return not row.method.startswith("ran"), _ORDER.index(row.precision), row.target != "tflite"

    return min(system.record.rows, key=rank, default=None)


def _lines(system: System, row: RowRecord) -> Iterator[str]:
    program = system.record.program
    variant = f", variant={_text(row.variant)}" if row.variant else ""
    yield from ("import clearport", "import numpy as np", "", 'FOLDER = "."  # of this report', "")
    if any(each.kind == "noise" for each in program.inputs):
        yield "noise = np.random.default_rng(7)  # the seed"
    files = f"target={_text(row.target)}, precision={_text(row.precision)}{variant}"
    yield f"with clearport.open_system(FOLDER, {files}) as system:"
    yield "    inputs = {"
    for each in program.inputs:
        value, words = _value(each)
        yield f"        {_text(each.name)}: {value},{'  # ' if words else ''}{words}"
    yield "    }"
    settings = ", ".join(f"{_text(name)}: {each.default}" for name, each in program.settings.items())
    yield f"    found = system(inputs, {{{settings}}})" if settings else "    found = system(inputs)"
    for output in program.outputs:
        told = f"(1, C, H, W), {output.low:g} to {output.high:g}" if output.kind == "picture" else "values"
        yield f"print({_text(output.name)}, found[{_text(output.name)}].shape)  # {told}"


def _value(each: Input) -> tuple[str, str]:
    """An array of the input's shape, and the meaning of its values."""
    if each.kind == "points":
        return "np.array([[64, 64, 1]], np.float32)", "x, y in pixels; 1: foreground, -1: background"
    shape = ", ".join(str(axis if isinstance(axis, int) else _FREE) for axis in each.shape)
    size = f"({shape},)" if len(each.shape) == 1 else f"({shape})"
    if each.kind == "noise":
        return f"noise.standard_normal({size}, dtype=np.float32)", "unit variance"
    if each.kind == "picture":
        middle = (each.low + each.high) / 2
        return f"np.full({size}, {middle:g}, np.float32)", f"RGB, {each.low:g} to {each.high:g}"
    return f"np.zeros({size}, np.float32)", ""


def _text(name: str) -> str:
    """A string of Python."""
    return json.dumps(name)
