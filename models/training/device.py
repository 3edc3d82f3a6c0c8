"""What a training runs on: the processor, one GPU, or several processes at once by Lightning Fabric.

One device needs torch alone. With more, every process learns from batches of its own, gradients are averaged after
each step (the networks are small, so one message has all of them), and process 0 validates and writes. Fabric starts
the processes and passes their messages; it comes with the extra ``train`` and is imported only then.
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
    """Where one process of a training computes. Process 0 is the one that reports and writes."""

    @property
    def device(self) -> torch.device: ...

    @property
    def rank(self) -> int: ...

    def average_gradients(self, network: nn.Module) -> None:
        """Give all processes the mean of their gradients."""
        ...

    def agree(self, value: float) -> float:
        """What process 0 has for ``value``."""
        ...


class OneDevice:
    """The processor or one GPU."""

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
        NotInstalled: there is no Lightning Fabric.
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
            if parameter.grad is None:  # here this step did not reach it, elsewhere perhaps it did
                parameter.grad = torch.zeros_like(parameter)
        mean = self._fabric.all_reduce(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]))
        for parameter, part in zip(parameters, mean.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def agree(self, value: float) -> float:
        return float(self._fabric.broadcast(value))


def place_for(options: TrainOptions) -> Place:
    """The device or devices that a training asked for.

    Raises:
        BadInput: there is no GPU, or there are too few.
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
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
