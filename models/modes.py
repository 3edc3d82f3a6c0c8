"""Detects networks whose inference is not reproducible: in training mode, random, or changing their buffers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from clearport.errors import BadInput

_SAME = 1e-6
"""Tolerance of two runs on one picture, relative to the largest output: threads may add in another order. Random
numbers cause far larger differences."""


def check_eval(module: nn.Module, name: str) -> None:
    """Check that no layer whose training mode computes something else is in it.

    Raises:
        BadInput: dropout or batch normalization is in training mode.
    """
    for layer, part in module.named_modules():
        if part.training and (isinstance(part, _BatchNorm) or (isinstance(part, _DropoutNd) and part.p > 0)):
            raise BadInput(
                f"{name}: layer {layer!r} ({type(part).__name__}) is in training mode, which computes a different "
                f"result: call .eval() on the network (build() must return it in eval mode)"
            )


def check_repeatable(module: nn.Module, inputs: Sequence[torch.Tensor], name: str) -> None:
    """Check that a network in eval mode is deterministic, draws no random numbers and keeps its buffers; runs it twice.

    Args:
        inputs: its inputs, in order.

    Raises:
        BadInput: it is not; the message names the layer.
    """
    drawn: list[tuple[str, str]] = []
    with torch.no_grad(), _watched(module, drawn):
        first = module(*inputs)
    for layer, operator in drawn:
        raise BadInput(
            f"{name}: {_place(layer)} draws random numbers ({operator}) although the network is in eval mode, "
            f"which no file can reproduce: remove the noise or the dropout (functional dropout needs "
            f"training=self.training)"
        )
    before = {key: buffer.clone() for key, buffer in module.named_buffers()}
    with torch.no_grad():
        second = module(*inputs)
    for key, buffer in module.named_buffers():
        if key in before and not _equal(before[key], buffer):
            raise BadInput(
                f"{name}: buffer {key!r} changes whenever the network runs in eval mode (batch statistics, a counter), "
                f"which no file can reproduce: freeze it before the export"
            )
    for one, other in zip(_tensors(first, name), _tensors(second, name), strict=True):
        if not _alike(one, other):
            raise BadInput(
                f"{name}: two runs on the same picture differ by up to {(one - other).abs().max():g}: its forward "
                f"draws random numbers (numpy, random) or keeps state, which no file can reproduce"
            )


def _tensors(given: object, name: str) -> list[torch.Tensor]:
    """A network's output tensors, in order: from a tensor, or tuples, lists and dicts of them.

    Raises:
        BadInput: an output is something else.
    """
    found: list[torch.Tensor] = tree_leaves(given)
    for value in found:
        if not isinstance(value, torch.Tensor):
            raise BadInput(
                f"{name}: it returns a {type(value).__name__}; expected a tensor, or tuples or dicts of them"
            )
    return found


def _place(layer: str) -> str:
    return f"layer {layer!r}" if layer else "its forward"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if torch.equal(one, other):
        return True
    same = one.shape == other.shape and one.is_floating_point() and other.is_floating_point()
    return same and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=0, atol=_SAME * float(one.abs().max().nan_to_num()), equal_nan=True
    )


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operators that draw random numbers, by PyTorch's tag, and the innermost layer that runs them."""

    def __init__(self, stack: list[str], drawn: list[tuple[str, str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stack, self._drawn = stack, drawn

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self._drawn.append((self._stack[-1] if self._stack else "", func.overloadpacket.__name__))
        return func(*args, **(kwargs or {}))


@contextmanager
def _watched(module: nn.Module, drawn: list[tuple[str, str]]) -> Iterator[None]:
    stack: list[str] = []
    hooks = []
    for layer, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(lambda _, __, layer=layer: stack.append(layer)))
        hooks.append(part.register_forward_hook(lambda _, __, ___: _drop(stack)))
    try:
        with _Draws(stack, drawn):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _drop(stack: list[str]) -> None:
    stack.pop()
