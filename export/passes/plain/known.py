"""What the passes before compute from constants alone, as constants: targets want a computed value there.

Given: a Pad, a Slice or a sum of constants, such as of the learned picture that a generator starts from, whose first
convolution has a computed kernel. Result: initializers.
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
