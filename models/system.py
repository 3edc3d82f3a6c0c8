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
    """A network of the registry, and its input size; None: the system's export size."""

    network: str
    size: Size | None = None


@dataclass(frozen=True)
class SystemSpec:
    """The description of a system.

    Attributes:
        name: registry key, distinct from those of networks.
        task: its task.
        about: one sentence for the report.
        parts: part name in the program -> network.
        size: default size of parts without a size of their own.
        program: makes the program for that size.
        reference: an independent implementation in plain PyTorch: modules, inputs and settings to outputs. The
            program must reproduce its outputs.
        examples: inputs of the program for that size: the first for the proof, the others to calibrate int8 on the
            parts' inputs.
        paper: its paper.
        notice: warning for users; may be empty.
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
