"""Refusal of operators without a conversion rule, with the same message for every target."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx_ir as ir

from clearport.errors import UnsupportedOperator
from clearport.export.passes.plain import recurrent
from clearport.graph import nodes as graphs

_MOST = 8
"""The maximum number of layers named per operator."""


def require_rules(target: str, nodes: Iterable[ir.Node], has_rule: Callable[[ir.Node], bool]) -> None:
    """Refuse a graph with operators that ``target`` has no conversion rule for.

    Raises:
        UnsupportedOperator: names all of them with their layers, so that one change of the network is enough.
    """
    lacking = [node for node in nodes if not has_rule(node)]
    if lacking:
        raise unknown(target, *lacking)


def unknown(target: str, node: ir.Node, *others: ir.Node) -> UnsupportedOperator:
    """The error for ``node`` and others without a conversion rule for ``target``.

    Integer tensors are sizes: a network exported for dynamic sizes computes with them, one for a fixed size does not.
    """
    layers: dict[str, list[str]] = {}
    for other in others:
        layers.setdefault(other.op_type, []).append(_layer(other))
    nor = "".join(f"; nor for {op} of {_named(names)}" for op, names in layers.items())
    whole = node.outputs and all(value.dtype is not None and value.dtype.is_integer() for value in node.outputs)
    if whole and _is_free(node):
        why = "no conversion rule, and it computes a size from the input size: give --size HEIGHTxWIDTH"
        return UnsupportedOperator(target, node.op_type, _layer(node), why + nor)
    why = recurrent.refusal(node) or "no conversion rule"
    return UnsupportedOperator(target, node.op_type, _layer(node), f"{why}{nor}")


def _is_free(node: ir.Node) -> bool:
    """Whether the node's graph is for any size."""
    inputs = node.graph.inputs if isinstance(node.graph, ir.Graph) else ()
    return any(not isinstance(n, int) for value in inputs for n in value.shape or ())


def _layer(node: ir.Node) -> str:
    return node.name or (graphs.name_of(node.outputs[0]) if node.outputs else "?")


def _named(layers: list[str]) -> str:
    shown = ", ".join(f"{layer!r}" for layer in layers[:_MOST])
    return shown if len(layers) <= _MOST else f"{shown} and {len(layers) - _MOST} more"
