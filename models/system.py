"""A system: several networks and the program that runs them. ``models/systems/<name>.py`` defines one as ``SYSTEM``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clearport.base import Float32, Size, Task
    from clearport.model_spec import Paper
    from clearport.programs.program import Program

    Modules = Mapping[str, nn.Module]
    Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Part:
    """A network of the registry, and the size of its input; None: the size that the system is exported for."""

    network: str
    size: Size | None = None


@dataclass(frozen=True)
class SystemSpec:
    """The description of a system.

    Attributes:
        name: registry key; no network has it.
        task: what it does.
        about: one sentence for the report.
        parts: the networks by their names in the program.
        size: of the parts without a size of their own, by default.
        program: the program for that size.
        reference: the same in plain PyTorch, written without the program: modules, inputs and settings to outputs. The
            program must give what it gives.
        examples: inputs of the program for that size; on the first the system is proven, and int8 is calibrated on what
            the program hands to the parts for the others.
        paper: where it comes from.
        notice: what a user must know before using it; may be empty.
    """

    name: str
    task: Task
    about: str
    parts: Mapping[str, Part]
    size: Size
    program: Callable[[Size], Program]
    reference: Callable[[Modules, Tensors, Mapping[str, int]], Tensors]
    examples: Callable[[Size], Sequence[Mapping[str, Float32]]]
    paper: Paper
    notice: str = ""
