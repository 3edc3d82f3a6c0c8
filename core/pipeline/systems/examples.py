"""The inputs that a program passes to its parts, as calibration and golden samples of the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clearport.programs.interpreter import execute
from clearport.runtime import pixels

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array, Float32, TensorSpec
    from clearport.programs.interpreter import Parts
    from clearport.programs.program import Program

    Inputs = Mapping[str, Float32]

_MOST = 16
"""Maximum number of calibration examples of a part."""
ABOUT = "the program's inputs to this part, in PyTorch, for examples of the system"


class Traced:
    """Parts that record their inputs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.calls: dict[str, list[dict[str, Float32]]] = {}

    def __call__(self, part: str, inputs: Inputs) -> Mapping[str, Float32]:
        self.calls.setdefault(part, []).append({name: np.array(value) for name, value in inputs.items()})
        return self._parts(part, inputs)


def traced(program: Program, parts: Parts, examples: Sequence[Inputs]) -> dict[str, list[dict[str, Float32]]]:
    """The inputs of each part's calls, for all examples."""
    found = Traced(parts)
    for example in examples:
        execute(program, found, example)
    return found.calls


def save(calls: Sequence[Inputs], specs: Sequence[TensorSpec], folder: Path) -> None:
    """Write evenly chosen calls of a part as calibration files."""
    folder.mkdir(parents=True)
    chosen = np.unique(np.linspace(0, len(calls) - 1, min(_MOST, len(calls))).round().astype(int))
    for index in chosen.tolist():
        np.savez(folder / f"{index:04d}.npz", **sample_of(calls[index], specs))  # type: ignore[arg-type]  # arrays


def sample_of(call: Inputs, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """A call as a sample (``graph.feeds``): pictures in 8-bit levels, everything else as it is."""
    return {spec.name: pixels.to_image(call[spec.name], spec) if spec.is_picture else call[spec.name] for spec in specs}
