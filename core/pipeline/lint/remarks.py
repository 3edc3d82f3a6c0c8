"""Findings on refusals by targets, operators left to the CPU by accelerators, and float16 overflow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clearport.export import half_arithmetic
from clearport.operators import table
from clearport.pipeline.lint.advice import advice
from clearport.pipeline.lint.values import Finding

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from clearport.base import Skipped
    from clearport.pipeline.lint.layers import Layers
    from clearport.pipeline.lint.values import InHalf, LeftOver, Placement


ROUNDING = "rounding to int8 and back"
"""Common name of operators that exist only in files."""
_ROUNDINGS = frozenset({"QUANTIZE", "DEQUANTIZE"})
"""Those operators in TFLite."""


def refusals(refused: Sequence[Skipped], layers: Layers) -> Iterator[Finding]:
    """A finding per reason, with its layers."""
    groups: dict[str, list[str]] = {}
    for skipped in refused:
        groups.setdefault(skipped.reason, []).append(skipped.what)
    for reason, where in groups.items():
        named = tuple(filter(None, map(layers.named, dict.fromkeys(re.findall(r"'([^']+)'", reason)))))
        todo = advice(layers.node(named[0]))[1] if named else "omit that target or precision"
        if "--size" in reason:
            todo = "export for one size: --size HEIGHTxWIDTH"
        yield Finding(level="error", rule="refused", where=tuple(where), layers=named, why=reason, todo=todo)


def left_out(placements: Sequence[Placement], layers: Layers, floats: AbstractSet[str]) -> Iterator[Finding]:
    """Operators that accelerators leave to the CPU, one finding each.

    ``floats`` are the layers without an int8 form, which have separate findings for int8 accelerators.
    """
    groups: dict[str, list[tuple[Placement, LeftOver]]] = {}
    for placement in _latest(placements):
        for left in placement.left:
            if not (placement.artifact.endswith("int8") and {layer.name for layer in left.layers} <= floats != set()):
                groups.setdefault(_operator(left, layers), []).append((placement, left))
    for operator, found in groups.items():
        yield _left_out(operator, found, layers)


def _operator(left: LeftOver, layers: Layers) -> str:
    """The operator's name in the graph; roundings to int8 and back exist only in files."""
    node = layers.node(left.layers[0]) if left.layers else None
    return ROUNDING if _rounds(left.operator) else node.op_type if node is not None else left.operator


def _rounds(operator: str) -> bool:
    return operator in _ROUNDINGS or (table.known(operator) and table.operator(operator).kind == "quantization")


def _left_out(operator: str, found: Sequence[tuple[Placement, LeftOver]], layers: Layers) -> Finding:
    units = tuple(dict.fromkeys(f"{placement.artifact} on {placement.unit}" for placement, _ in found))
    reasons = dict.fromkeys(f"{left.operator}: {left.reason}" for _, left in found)
    named = tuple(dict.fromkeys(layer for _, left in found for layer in left.layers))
    rule, todo = advice(layers.node(named[0]) if named else None)
    if operator == ROUNDING:
        rule, named, todo = (
            "rounding-to-int8",
            (),
            "use fp32 or fp16 there: int8 needs conversions at every such operator",
        )
    harmless = (p.unit == "XNNPACK" or (operator == ROUNDING and p.partitions == 1) for p, _ in found)
    return Finding(
        level="note" if all(harmless) else "warning",  # only at the ends: no additional partitions
        rule=rule,
        where=units,
        layers=named,
        why=f"{operator} is left to the CPU: {'; '.join(reasons)}",
        todo=todo,
    )


def arenas(placements: Sequence[Placement]) -> Iterator[Finding]:
    """Chips that have too little memory for the network."""
    found: dict[str, list[str]] = {}
    for placement in placements:
        if placement.memory:
            found.setdefault(placement.memory, []).append(f"{placement.artifact} on {placement.unit}")
    for why, where in found.items():
        todo = "export with a smaller --size, which restores larger pictures in tiles, or use a chip with more memory"
        yield Finding(level="warning", rule="memory", where=tuple(where), why=why, todo=todo)


def _latest(placements: Sequence[Placement]) -> Iterator[Placement]:
    """Without operators that only old NNAPI levels lack, which are in those levels' rows."""
    nnapi: dict[str, Placement] = {}
    for placement in placements:
        if placement.unit.startswith("NNAPI"):
            nnapi[placement.artifact] = placement
        else:
            yield placement
    yield from nnapi.values()


def of_half(found: InHalf, measured: half_arithmetic.HalfArithmetic, where: tuple[str, ...]) -> Iterator[Finding]:
    """Overflow is always reported; underflow only if it degrades the picture."""
    if found.too_large:
        yield Finding(
            level="warning",
            rule="float16-overflow",
            where=where,
            layers=found.too_large,
            why=f"{measured}, on a photo, dark and noisy too (emulated)",
            todo="scale these layers down in training (normalize, or clamp before them), use fp32 or int8, or let the "
            "GPU compute in float32; Core ML keeps them in float32",
        )
    if found.too_small and not measured.fits:
        yield Finding(
            level="warning",
            rule="float16-underflow",
            where=where,
            layers=found.too_small,
            why=f"most of their values are below {half_arithmetic.LEAST:.0e}, where float16 is imprecise: {measured}",
            todo="multiply the weights before these layers, and divide the weights after them, by the same factor",
        )
    if not measured.fits and not (found.too_large or found.too_small):
        yield Finding(
            level="warning",
            rule="float16-arithmetic",
            where=where,
            why=f"in float16, as GPUs compute fp16 files, {measured} (emulated)",
            todo="use fp32 or int8, or let the GPU compute in float32",
        )
