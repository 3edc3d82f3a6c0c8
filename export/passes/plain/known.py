"""Fold constants that earlier passes created: targets require a computed operand there.

Given: a Pad, a Slice or a sum of constants, such as a generator's learned constant input with a computed kernel.
Result: initializers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.export.passes import constants
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Graph


def run(graph: Graph) -> Graph:
    """Given and result: see the module."""
    folded = graphs.clone(graph)
    return folded if constants.run(folded.model) else graph
