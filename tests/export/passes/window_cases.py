"""Operators that passes write by others, continued: windows in steps, and parts of products."""

from __future__ import annotations

import numpy as np

from ..tflite.harness import Case, after_conv, f32, i64, one, weight


def table(first: int, step: int, count: int, length: int, *, outer: bool) -> np.ndarray:
    """Indices of ``count`` windows, ``step`` apart: a row per window, or a column."""
    found = first + step * np.arange(count)[:, None] + np.arange(length)[None]
    return found if outer else found.T


def _cut(indices: np.ndarray, axis: int) -> Case:
    return after_conv(one("Gather", "x i", axis=axis), constants={"i": indices})


WINDOWS: dict[str, Case] = {
    "windows that overlap, a column each": _cut(table(0, 3, 3, 4, outer=False), 2),
    "windows that overlap, a row each": _cut(table(0, 4, 2, 6, outer=True), 3),
    "windows over more than two steps": _cut(table(0, 3, 2, 7, outer=False), 2),
    "windows that begin later": _cut(table(3, 2, 3, 3, outer=True), 2),
    "windows with gaps": _cut(table(0, 4, 3, 2, outer=False), 3),
    "windows with gaps, to the end": _cut(table(2, 4, 3, 2, outer=True), 3),
    "windows side by side": _cut(table(0, 4, 3, 4, outer=True), 3),
    "windows of channels": _cut(table(0, 3, 2, 5, outer=False), 1),
    "windows counted from behind": _cut(table(-12, 3, 3, 4, outer=False), 3),
    "windows that go backward": _cut(table(0, 3, 3, 4, outer=False)[::-1], 2),
    "windows of both axes": after_conv(
        ("Gather", "x i", "r", {"axis": 2}), ("Gather", "r j", "c", {"axis": 4}),
        ("Transpose", "c", "t", {"perm": [0, 1, 2, 4, 3, 5]}), one("Reshape", "t o"),
        constants={
            "i": table(0, 3, 3, 4, outer=False), "j": table(0, 4, 2, 6, outer=False), "o": i64(1, 8 * 24, 6),
        },
    ),
    "windows of both axes, one after the other": after_conv(
        ("Gather", "x i", "r", {"axis": 2}), ("Transpose", "r", "s", {"perm": [0, 1, 2, 4, 3]}),
        ("Gather", "s j", "c", {"axis": 3}), ("Transpose", "c", "t", {"perm": [0, 1, 2, 3, 5, 4]}),
        one("Reshape", "t o"),
        constants={
            "i": table(0, 3, 3, 4, outer=True), "j": table(0, 4, 2, 6, outer=True), "o": i64(1, 8, 6, 24),
        },
    ),
}  # fmt: skip


def _heads(*nodes: tuple[str, str, str, dict[str, object]], **constants: object) -> Case:
    """Behind query, key and value ``p`` (3, 1, 2, 120, 4) of 120 places, by one product."""
    above = [
        ("Reshape", "x flat", "l", {}), ("Transpose", "l", "n", {"perm": [0, 2, 1]}),
        ("MatMul", "n w", "m", {}), ("Add", "m b", "a", {}), ("Reshape", "a split", "d", {}),
        ("Transpose", "d", "p", {"perm": [2, 0, 3, 1, 4]}),
    ]  # fmt: skip
    held = {"flat": i64(1, 8, 120), "w": weight(8, 24), "b": weight(24), "split": i64(1, 120, 3, 2, 4)}
    return after_conv(*above, *nodes, constants=held | constants)


HEADS: dict[str, Case] = {
    "query, key and value of one product": _heads(
        ("Gather", "p zero", "q0", {"axis": 0}), ("Mul", "q0 f", "q", {}), ("Gather", "p one", "k0", {"axis": 0}),
        ("Transpose", "k0", "k", {"perm": [0, 1, 3, 2]}), ("Gather", "p two", "v", {"axis": 0}),
        ("MatMul", "q k", "s", {}), ("Softmax", "s", "t", {"axis": -1}), one("MatMul", "t v"),
        zero=np.array(0), one=np.array(1), two=np.array(2), f=f32(0.5),
    ),
    "two of three parts": _heads(
        ("Slice", "p s0 e0 x0", "q", {}), ("Slice", "p s1 e1 x0", "k", {}), ("Sub", "q k", "u", {}),
        one("Reshape", "u o"),
        s0=i64(0), e0=i64(1), s1=i64(2), e1=i64(3), x0=i64(0), o=i64(2, 120, 4),
    ),
    "parts that share places": _heads(
        ("Slice", "p s0 e0 x0", "q", {}), ("Slice", "p s1 e1 x0", "k", {}), ("Sub", "q k", "u", {}),
        one("Reshape", "u o"),
        s0=i64(0), e0=i64(2), s1=i64(1), e1=i64(3), x0=i64(0), o=i64(4, 120, 4),
    ),
    "a part and the whole": _heads(
        ("Slice", "p s0 e0 x0", "q", {}), ("Mul", "p q", "u", {}), one("Reshape", "u o"),
        s0=i64(0), e0=i64(1), x0=i64(0), o=i64(6, 120, 4),
    ),
    "parts of each head": _heads(
        ("Slice", "p s0 e0 x0", "q", {}), ("Slice", "p s1 e1 x0", "k", {}), ("Mul", "q k", "u", {}),
        one("Reshape", "u o"),
        s0=i64(0), e0=i64(2), s1=i64(2), e1=i64(4), x0=i64(4), o=i64(6, 120, 2),
    ),
    "a factor behind a product": _heads(("Mul", "p f", "u", {}), one("Reshape", "u o"), f=f32(3), o=i64(6, 120, 4)),
    "a factor of what others read": _heads(
        ("Mul", "p f", "u", {}), ("Sub", "p u", "v", {}), one("Reshape", "v o"), f=f32(3), o=i64(6, 120, 4)
    ),
}  # fmt: skip
