"""Rules of comparisons, logic, selection (Where) and casts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.export.coreml.lowering import Lowering, refuse
from clearport.graph.nodes import constant, need

if TYPE_CHECKING:
    import onnx_ir as ir


def comparison(low: Lowering, node: ir.Node, name: str, op: str) -> Any:
    """Greater, Equal, And and the like -> greater, equal, logical_and and the like, with Boolean output."""
    return getattr(low.mb, op)(x=_operand(low, node, 0), y=_operand(low, node, 1), name=name)


def where(low: Lowering, node: ir.Node, name: str) -> Any:
    """Where -> select."""
    return low.mb.select(cond=_operand(low, node, 0), a=_operand(low, node, 1), b=_operand(low, node, 2), name=name)


def cast(low: Lowering, node: ir.Node, name: str) -> Any:
    """Cast -> cast."""
    wanted = node.outputs[0].dtype
    if wanted is None or wanted.is_floating_point():
        word = "fp16" if low.compute is np.float16 else "fp32"
    else:
        word = "bool" if wanted.name == "BOOL" else "int32"
    return low.mb.cast(x=low.var(node, 0), dtype=word, name=name)


def _operand(low: Lowering, node: ir.Node, index: int) -> Any:
    held = constant(need(node, index))
    if held is not None and held.dtype.kind == "b":
        return held
    found = low.var(node, index)
    if found is None:
        raise refuse(node, f"its input {index} is missing")
    return found
