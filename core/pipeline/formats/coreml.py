"""Core ML packages, by clearport's own reader of saved programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.disk.files import size_bytes
from clearport.pipeline.formats.described import Described, Tally, end

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import TensorSpec
    from clearport.runtime.coreml_reference.program import Feature, Operation, Program

_SUMS = {"conv": 0, "conv_transpose": 0, "linear": 0}


def described(path: Path) -> Described:
    """See ``Described``."""
    from clearport.runtime.coreml_reference.program import Name, read

    program = read(path)
    tally = Tally()
    results = {op.result.name: op for op in program.operations}
    for op in program.operations:
        if op.type.startswith("const"):
            for value in (v for values in op.arguments.values() for v in values):
                if isinstance(value, np.ndarray) and value.ndim:
                    tally.weights[str(value.dtype)] += value.nbytes
            continue
        tally.operators[op.type] += 1
        if op.type in _SUMS:
            weight = op.arguments["weight"][0]
            shape = results[weight.text].result.shape if isinstance(weight, Name) else np.shape(weight)
            tally.add(tuple(shape), 0, _counted(op, results))
    ends = (_ends(program, program.inputs, results), _ends(program, program.outputs, results))
    said = (f"specification {program.specification}", *(f"{k}: {v}" for k, v in sorted(program.metadata.items())))
    return Described(path, "coreml", size_bytes(path), *ends, tally.operators, tally.weights, tally.macs, said)


def _counted(op: Operation, results: dict[str, Operation]) -> tuple[int | None, ...]:
    """The sizes to count products by: a transposed convolution has them per input element."""
    if op.type != "conv_transpose":
        return op.result.shape
    source = results.get(op.arguments["x"][0].text)
    return source.result.shape if source else (None,)


def _ends(program: Program, features: tuple[Feature, ...], results: dict[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(_end(program, feature, results) for feature in features)


def _end(program: Program, feature: Feature, results: dict[str, Any]) -> TensorSpec:
    sides = tuple(low if low == high else f"d{i}" for i, (low, high) in enumerate(feature.ranges))
    if feature.picture and len(sides) == 4:
        return end(feature.name, (1, *sides[2:], 3), "uint8")
    if not sides and feature.name in results:
        sides = tuple("?" if n is None else n for n in results[feature.name].result.shape)
    return end(feature.name, sides, program.input_types.get(feature.name, "float32"))
