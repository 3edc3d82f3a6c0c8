"""ONNX operator -> MIL, by the rule of its record. An operator without a rule is an error that names its layer.

A rule gets the ``Lowering``, the node and the name of its result, and returns the MIL variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.without_rule import unknown
from clearport.operators import table
from clearport.operators.record import resolved

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.operators.record import Rule

FIRST_IOS = 15
"""The first with ML programs."""


def rule_for(node: ir.Node) -> Rule:
    """The rule of an operator.

    Raises:
        UnsupportedOperator: there is none.
    """
    rule = table.of(node).mil
    if rule is None:
        raise unknown("coreml", node)
    return rule


def ios_of(node: ir.Node) -> int:
    """The first iOS version with the operations that the rule emits for a node.

    Raises:
        UnsupportedOperator: no conversion rule.
    """
    since = rule_for(node).since
    first: int = FIRST_IOS if since is None else resolved(since)(node)
    return first
