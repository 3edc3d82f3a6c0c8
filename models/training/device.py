"""Training devices: the CPU, one GPU, or several processes with Lightning Fabric.

One device needs only torch. With more, every process has its own batches, gradients are averaged after each step (in
one message, since networks are small), and process 0 validates and writes. Fabric starts the processes and passes
messages; it is in the extra ``train`` and imported only then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

import torch

from clearport.errors import BadInput, NotInstalled

if TYPE_CHECKING:
    from torch import nn

    from clearport.models.training.options import TrainOptions


class Place(Protocol):
    """The device of one training process. Process 0 reports and writes."""

    @property
    def device(self) -> torch.device: ...

    @property
    def rank(self) -> int: ...

    def average_gradients(self, network: nn.Module) -> None:
        """Replace gradients by their mean over all processes."""
        ...

    def agree(self, value: float) -> float:
        """The ``value`` of process 0, for all processes."""
        ...


class OneDevice:
    """The CPU or one GPU."""

    rank = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def average_gradients(self, network: nn.Module) -> None:
        del network

    def agree(self, value: float) -> float:
        return value


class SeveralDevices:
    """One of several processes: Fabric runs the command again for each of the others.

    Raises:
        NotInstalled: Lightning Fabric is missing.
    """

    def __init__(self, kind: str, count: int) -> None:
        try:
            from lightning_fabric import Fabric
        except ImportError as error:
            raise NotInstalled("lightning-fabric", "train") from error
        self._fabric: Any = Fabric(accelerator=kind, devices=count, strategy="ddp")
        self._fabric.launch()
        self.device: torch.device = self._fabric.device
        self.rank: int = self._fabric.global_rank

    @torch.no_grad()
    def average_gradients(self, network: nn.Module) -> None:
        parameters = [p for p in network.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:  # no gradient here in this step, but perhaps in other processes
                parameter.grad = torch.zeros_like(parameter)
        mean = self._fabric.all_reduce(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]))
        for parameter, part in zip(parameters, mean.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def agree(self, value: float) -> float:
        return float(self._fabric.broadcast(value))


def place_for(options: TrainOptions) -> Place:
    """The requested device or devices.

    Raises:
        BadInput: no GPU, or too few.
        NotInstalled: several devices need Fabric.
    """
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    if kind == "cuda" and torch.cuda.device_count() < options.devices:
        raise BadInput(
            f"--device cuda --devices {options.devices}: torch finds {torch.cuda.device_count()} GPUs "
            f"(torch {torch.__version__}); install a build of torch for CUDA, or use --device cpu"
        )
    return SeveralDevices(kind, options.devices) if options.devices > 1 else OneDevice(torch.device(kind))


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
