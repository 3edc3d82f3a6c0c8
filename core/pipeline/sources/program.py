"""``FILE.pt2``: a program written by ``torch.export.save``, as a module with example inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from clearport.errors import BadInput
from clearport.models import pt2

if TYPE_CHECKING:
    from pathlib import Path

_SIDE = 64
"""Value of a dynamic side in the examples."""


class Program(nn.Module):
    """An exported program, which is always in the mode in which it was exported; ``names`` are those of its inputs."""

    def __init__(self, program: torch.export.ExportedProgram, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.inner = program.module(check_guards=False)

    def train(self, mode: bool = True) -> Program:
        """It has no modes."""
        del mode
        return self

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.inner(*inputs)


def program_of(path: Path) -> tuple[Program, tuple[torch.Tensor, ...]]:
    """The program in a file, and examples of its inputs.

    Raises:
        BadInput: no such file, it contains code that would have to be trusted, or it has inputs other than tensors.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    program, names, _ = pt2.load(path)
    wanted = program.graph_signature.user_inputs
    found = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    taken = [found.get(str(name)) for name in wanted]
    if not taken or not all(isinstance(value, torch.Tensor) for value in taken):
        raise BadInput(f"{path}: its inputs are {', '.join(map(str, wanted)) or 'none'}; expected tensors only")
    examples = tuple(_example(value) for value in taken)
    return Program(program, names or tuple(map(str, wanted))), examples


def _example(value: Any) -> torch.Tensor:
    shape = [int(n) if isinstance(n, int) else (1 if axis == 0 else _SIDE) for axis, n in enumerate(value.shape)]
    return torch.zeros(shape, dtype=value.dtype)
