"""The cases of the records as graphs, and what they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clearport.base import Graph
from clearport.operators import table
from clearport.operators.case import Case, weight

from ..export.tflite import harness

CASES: Mapping[str, Case] = {case.name: case for record in table.operators().values() for case in record.cases}
TAIL = "ahead"
"""What a case gives where a convolution follows."""


def built(case: Case, *, free: bool = False, followed: bool = False) -> Graph:
    """The case as a checked graph; ``followed`` by a 1x1 convolution to three channels, where it gives pictures."""
    sides = ("H", "W") if free else case.sides
    constants = {name: numbers.array() for name, numbers in case.constants.items()}
    graph = harness.build(harness.Case(tuple(case.nodes), constants), *sides)  # type: ignore[arg-type]
    shape = graph.model.graph.outputs[0].shape
    if not followed or shape is None or len(shape) != 4:
        return graph
    *before, (op, inputs, _, attributes) = case.nodes
    nodes = (*before, (op, inputs, TAIL, attributes), ("Conv", f"{TAIL} tail_w tail_b", "restored", {}))
    tail = {"tail_w": weight(3, int(shape[1]), 1, 1, seed=5), "tail_b": weight(3, seed=6)}
    return built(replace(case, nodes=nodes, constants={**case.constants, **tail}), free=free)


def picture(case: Case, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3), noise."""
    return np.random.default_rng(seed).integers(0, 256, (*case.sides, 3)).astype(np.uint8)
