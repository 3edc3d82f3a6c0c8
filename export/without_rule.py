"""The refusal of operators that a target has no rule for; every target says it in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from clearport.errors import UnsupportedOperator
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    import onnx_ir as ir

_MOST = 8
"""So many layers of an operator are named."""


def require_rules(target: str, nodes: Iterable[ir.Node], has_rule: Callable[[ir.Node], bool]) -> None:
    """Refuse a graph with operators that ``target`` has no rule for.

    Raises:
        UnsupportedOperator: names all of them with their layers, so that a network is changed once and not again and
            again.
    """
    lacking = [node for node in nodes if not has_rule(node)]
    if lacking:
        raise unknown(target, *lacking)


def unknown(target: str, node: ir.Node, *others: ir.Node) -> UnsupportedOperator:
    """The error that ``target`` has no rule for ``node``, nor for the others.

    Whole numbers are sizes: a network exported for pictures of any size computes with them, and for one size does not.
    """
    layers: dict[str, list[str]] = {}
    for other in others:
        layers.setdefault(other.op_type, []).append(_layer(other))
    nor = "".join(f"; nor for {op} of {_named(names)}" for op, names in layers.items())
    if node.outputs and all(value.dtype is not None and value.dtype.is_integer() for value in node.outputs):
        why = "there is no rule for it, which computes a size that the picture decides: give --size HEIGHTxWIDTH"
        return UnsupportedOperator(target, node.op_type, _layer(node), why + nor)
    return UnsupportedOperator(target, node.op_type, _layer(node), f"there is no rule for it{nor}")


def _layer(node: ir.Node) -> str:
    return node.name or (graphs.name_of(node.outputs[0]) if node.outputs else "?")


def _named(layers: list[str]) -> str:
    shown = ", ".join(f"{layer!r}" for layer in layers[:_MOST])
    return shown if len(layers) <= _MOST else f"{shown} and {len(layers) - _MOST} more"
