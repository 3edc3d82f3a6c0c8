"""Graphs in which a Transpose and a Reshape read one tensor, as where tokens are also a picture for a convolution."""

from __future__ import annotations

from .tflite.harness import Case, after_conv, i64, one, weight

FIRST = {
    "a product": (("MatMul", "last k", "mixed", {}),),
    "a function": (("Relu", "last", "mixed", {}),),
    "parts": (("Slice", "last s e a", "half", {}), ("Relu", "half", "more", {}),
              ("Concat", "half more", "mixed", {"axis": 3})),
}  # fmt: skip
"""What makes the tensor, channels last."""


def shared(first: str, *, unsqueezed: bool = False) -> Case:
    """One that ``FIRST`` makes; read as tokens (1, N, 8), or with an axis more."""
    tokens = [("Unsqueeze", "mixed o", "tokens", {})] if unsqueezed else [("Reshape", "mixed n", "tokens", {})]
    rows = ("Transpose", "m", "rows", {"perm": [0, 2, 3, 1]})
    others = ("Unsqueeze", "rows o", "others", {}) if unsqueezed else ("Reshape", "rows n", "others", {})
    return after_conv(
        ("Transpose", "x", "last", {"perm": [0, 2, 3, 1]}),
        *FIRST[first],
        ("Transpose", "mixed", "first", {"perm": [0, 3, 1, 2]}),
        ("Conv", "first d b", "h", {"group": 8, "pads": [1, 1, 1, 1]}),
        *tokens,
        ("Conv", "h d b", "g", {"group": 8, "pads": [1, 1, 1, 1]}),
        ("Mul", "g x", "m", {}),
        rows,
        others,
        one("Add", "tokens others"),
        constants={
            "k": weight(8, 8), "d": weight(8, 1, 3, 3), "b": weight(8),
            "n": i64(1, -1, 8), "o": i64(0), "s": i64(0), "e": i64(4), "a": i64(3),
        },
    )  # fmt: skip
