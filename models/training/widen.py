"""Overparameterized convolutions for training that collapse to plain ones (SESR, arXiv 2103.09404).

During training a k x k kernel W is the sum of a plain kernel D and a product B·A of a wide k x k convolution A and a 1
x 1 convolution B. All are linear, so the sum is computed in weight space and each step runs one plain convolution: the
extra parameters cost next to nothing per pixel, and a small network learns faster. Two more adaptations:

- biases are learned in units of the value range, because activations are at the scale of pixels (0..255) and Adam is
  invariant to the scale of gradients;
- convolutions can compute in bfloat16 while parameters stay float32. The 256 levels of an 8-bit pixel are exact in
  bfloat16.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

_GEOMETRY = ("stride", "padding", "dilation", "groups", "padding_mode", "transposed", "output_padding")


@dataclass(frozen=True)
class Widening:
    """Preparation of a network for training.

    Attributes:
        factor: width of the inner convolution in multiples of the output channels; 0 for none.
        bfloat16: compute convolutions in bfloat16.
        bias_unit: value of a bias parameter of 1 in units of activations (the width of the value range).
    """

    factor: int
    bfloat16: bool
    bias_unit: float


class WideConv2d(nn.Conv2d):
    """The training form of a zero-padded ``nn.Conv2d``: same input, same output, same initial weights.

    Like in ``nn.Conv2d``, ``weight`` and ``bias`` can be read, although they are not parameters.
    """

    def __init__(self, plain: nn.Conv2d, widening: Widening) -> None:
        nn.Module.__init__(self)  # without the parameters of nn.Conv2d
        for name in ("in_channels", "out_channels", "kernel_size", *_GEOMETRY):
            setattr(self, name, getattr(plain, name))
        self.in_bfloat16, self.bias_unit = widening.bfloat16, widening.bias_unit
        self.direct = nn.Parameter(plain.weight.detach().clone())
        self.unit_bias = None if plain.bias is None else nn.Parameter(plain.bias.detach() / widening.bias_unit)
        self.inner, self.outer = self._product(widening.factor)

    def _product(self, factor: int) -> tuple[nn.Parameter | None, nn.Parameter | None]:
        if not factor:
            return None, None
        outputs, width = self.direct.shape[0], factor * self.direct.shape[0]
        inner = torch.empty(width, *self.direct.shape[1:])
        nn.init.kaiming_normal_(inner, nonlinearity="linear")
        return nn.Parameter(inner), nn.Parameter(torch.zeros(outputs, width))

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        """The current equivalent kernel (out, in, k, k)."""
        if self.inner is None or self.outer is None:
            return self.direct
        return self.direct + (self.outer @ self.inner.flatten(1)).view_as(self.direct)

    @property
    def bias(self) -> torch.Tensor | None:  # type: ignore[override]
        """The current bias (out,), in units of activations."""
        return None if self.unit_bias is None else self.unit_bias * self.bias_unit

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        features = input
        weight, bias = self.weight, self.bias
        if self.in_bfloat16 and not self._is_smaller_than_kernel(features):
            features, weight = features.bfloat16(), weight.bfloat16()
            bias = None if bias is None else bias.bfloat16()
        weight = weight.contiguous(memory_format=torch.channels_last)
        assert not isinstance(self.padding, str)
        return F.conv2d(features, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def _is_smaller_than_kernel(self, features: torch.Tensor) -> bool:
        """Whether the map is so small that bfloat16 is unreliable, and saves nothing.

        With torch 2.13.0 on a CPU with AVX512_BF16 the gradient of the weights was NaN 22 times of 25 for a map of 1x1
        at stride 2 where freed memory held NaN; at 2x2 to 8x8 never.
        """
        return any(side < size for side, size in zip(features.shape[-2:], self.kernel_size, strict=True))


def widen(network: nn.Module, widening: Widening) -> nn.Module:
    """A copy of ``network`` in training mode whose zero-padded convolutions are ``WideConv2d``.

    A module that computes its own kernels is not replaced; its attribute ``in_bfloat16``, if any, is set.
    """
    trainee = copy.deepcopy(network).train()
    for name, module in list(trainee.named_modules()):
        if _can_widen(module):
            assert isinstance(module, nn.Conv2d)
            trainee.set_submodule(name, WideConv2d(module, widening))
        elif hasattr(module, "in_bfloat16"):
            module.in_bfloat16 = widening.bfloat16
    return trainee


def _can_widen(module: nn.Module) -> bool:
    if type(module) is not nn.Conv2d:  # subclasses have their own forward
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def collapse(trainee: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict of the plain network equivalent to ``trainee`` (from ``widen``)."""
    wide = {name: module for name, module in trainee.named_modules() if isinstance(module, WideConv2d)}
    state = {key: value.detach() for key, value in trainee.state_dict().items() if not _belongs(key, wide)}
    for name, module in wide.items():
        state[f"{name}.weight"] = module.weight.detach()
        bias = module.bias
        if bias is not None:
            state[f"{name}.bias"] = bias.detach()
    return state


def _belongs(key: str, wide: Mapping[str, WideConv2d]) -> bool:
    return key.rpartition(".")[0] in wide
