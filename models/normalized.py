"""Wraps a network to accept plain pictures, converting to its mean, standard deviation and color order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import TensorSpec


def module(network: nn.Module, inputs: Sequence[TensorSpec]) -> nn.Module:
    """The network with its contract's normalization of pictures prepended; the network itself if there is none."""
    plain = not any(spec.mean or spec.std or spec.color.startswith("BGR") for spec in inputs)
    return network if plain else Normalized(network, inputs)


class Normalized(nn.Module):
    """``network`` with a preceding ``(value - mean) / std`` for plain RGB pictures (1, C, H, W)."""

    def __init__(self, network: nn.Module, inputs: Sequence[TensorSpec]) -> None:
        super().__init__()
        self.network = network
        for index, spec in enumerate(inputs):
            count = spec.channels or 1
            mean, std = (
                torch.tensor(values or (default,) * count) for values, default in ((spec.mean, 0.0), (spec.std, 1.0))
            )
            self.register_buffer(f"mean{index}", mean.reshape(-1, 1, 1))
            self.register_buffer(f"std{index}", std.reshape(-1, 1, 1))
        self._plain = [not (spec.mean or spec.std) for spec in inputs]
        self._orders = [order(spec) for spec in inputs]

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.network(*(self._normalized(index, value) for index, value in enumerate(inputs)))

    def _normalized(self, index: int, value: torch.Tensor) -> torch.Tensor:
        channels = self._orders[index]
        ordered = value if channels is None else value[:, channels]
        if self._plain[index]:
            return ordered
        return (ordered - self.get_buffer(f"mean{index}")) / self.get_buffer(f"std{index}")


def wanted(picture: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    """A plain picture (B, C, H, W) converted for a network with this input."""
    channels = order(spec)
    ordered = picture if channels is None else picture[:, channels]
    if not (spec.mean or spec.std):
        return ordered
    mean, std = (
        torch.tensor(values or (default,), device=picture.device).reshape(-1, 1, 1)
        for values, default in ((spec.mean, 0.0), (spec.std, 1.0))
    )
    return (ordered - mean) / std


def plain(spec: TensorSpec) -> TensorSpec:
    """The contract of an input after normalization and color order are part of the network."""
    return replace(spec, mean=(), std=(), color=spec.color.replace("BGR", "RGB") if spec.is_picture else spec.color)


def order(spec: TensorSpec) -> list[int] | None:
    """The indices of the network's channels in RGB(A); None for the same order."""
    if not (spec.is_picture and spec.color.startswith("BGR")):
        return None
    return [2, 1, 0, *range(3, spec.channels or 3)]
