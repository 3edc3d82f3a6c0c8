"""What a foreign network is: one that clearport does not know, as users bring them, and the table of all of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

FAMILIES = (
    "attention",
    "classifiers",
    "convolutional",
    "functions",
    "generators",
    "moving",
    "resizing",
    "sampling",
    "several",
    "sequences",
    "windows",
)
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Linear)
_GAIN = 2.0
"""PyTorch's own start lets signals fade behind a few layers, and what is near to constant proves nothing."""
NETWORKS: dict[str, Foreign] = {}


@dataclass(frozen=True)
class Foreign:
    """A network that no part of clearport was written for.

    ``build`` makes the module in eval mode, with weights from a fixed seed; ``inputs`` are the shapes of what it
    takes, NCHW where there are four, in 0..1.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: tuple[tuple[int, ...], ...] = ((1, 3, 32, 48),)

    def module(self) -> nn.Module:
        """The network with weights that make a difference, biases and statistics included."""
        torch.manual_seed(7)
        module = self.build()
        for layer in module.modules():
            if isinstance(layer, _WEIGHTED) and not is_parametrized(layer):
                layer.weight.data.mul_(_GAIN)
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dim() == 1 and tensor.is_floating_point():
                noise = torch.rand_like(tensor)
                tensor.data.copy_(0.5 + noise if name.endswith(("running_var", "weight")) else 0.2 * (noise - 0.5))
        return module.eval()


def foreign(*inputs: tuple[int, ...], name: str = "") -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Enter what makes a network, with the shapes of its inputs, under its name."""

    def enter(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        known = name or build.__name__
        NETWORKS[known] = Foreign(known, build, inputs or ((1, 3, 32, 48),))
        return build

    return enter


def networks() -> dict[str, Foreign]:
    """Name -> network, of every family."""
    for family in FAMILIES:
        importlib.import_module(f"{__package__}.{family}")
    return dict(sorted(NETWORKS.items()))
