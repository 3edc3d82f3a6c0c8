"""Deviation of an exported graph from its PyTorch network, and its limits."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from clearport.errors import BadInput, CheckFailed
from clearport.export.trial_sizes import example_size, second_size
from clearport.graph import feeds, shapes
from clearport.graph import nodes as graphs
from clearport.models import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnxruntime as ort

    from clearport.base import Array, Graph, Size, TensorSpec
    from clearport.protocols import Described

TOLERANCE = 1e-4
"""The largest deviation of ONNX Runtime from PyTorch, as a share of the value range."""
_ROUNDINGS = 64.0
"""An ill-conditioned network (deep attention on noise) may deviate by this many times its own float32 error (against
float64): kernels sum in other orders, which changes the result by several such errors. Measured for RLFN x4 with the
published weights on noise of 48x64: PyTorch is 0.0007 of 255 from float64, ONNX Runtime 26 times as far without its
optimizations and 42 times with them, at fixed and dynamic sizes alike."""
_MOST = 1e-3
"""Limit for ill-conditioned networks, too, as a share of the value range: a quarter of an 8-bit level."""


@dataclass(frozen=True)
class Deviation:
    """Deviation of one output from the network's on one image, and its limit, in real values."""

    image: str
    size: Size
    max_abs: float
    allowed: float
    output: str


def arguments(feed: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> tuple[torch.Tensor, ...]:
    """A feed in the order of the module's arguments."""
    return tuple(torch.from_numpy(feed[each.name]) for each in inputs)


def deviations(module: torch.nn.Module, graph: Graph, spec: Described, size: Size | None) -> list[Deviation]:
    """PyTorch against ONNX Runtime on noise and on a photo-like image; with a free size also on a second, odd one.

    Where PyTorch itself computes the noise worse in float32 than a graph must, noise of less contrast is compared, too.
    """
    sizes = [size] if size is not None else [example_size(spec), second_size(spec)]
    opened = graphs.session(graph.model)
    inputs, outputs = shapes.contract(spec, graph.scale)
    plain = normalized.module(module.eval(), inputs)
    compared = _Compared(plain, graph, opened, inputs, outputs)
    found = []
    for shown in sizes:
        for name, make in (("noise", feeds.noise), ("photo-like", feeds.photo_like)):
            feed = make(inputs, shown)
            there = compared.on(name, shown, feed)
            if name == "noise" and not all(d.max_abs <= d.allowed for d in there):
                there = compared.calmed(shown, feed, there)
            found += there
    return found


@dataclass(frozen=True)
class _Compared:
    """A network and its graph, run on the same inputs."""

    network: torch.nn.Module
    graph: Graph
    session: ort.InferenceSession
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]

    def on(self, image: str, size: Size, feed: Mapping[str, Array]) -> list[Deviation]:
        """The deviation of each output."""
        taken = arguments(feed, self.inputs)
        wanted = _results(self.network, taken)
        for value, spec in zip(wanted, self.outputs, strict=False):
            if not np.isfinite(value).all():
                raise BadInput(
                    f"{self.graph.spec_name}: PyTorch's own output {spec.name} contains NaN or infinity on the {image} "
                    f"image of {size}: nothing can be compared with it"
                )
        given = self.session.run(None, dict(feed))
        _check_shapes(wanted, given, size, self.graph, self.outputs)
        pairs = zip(given, wanted, strict=True)
        far = [float(np.abs(one - other).max(initial=0.0)) for one, other in pairs]
        allowed = _allowed(self.network, taken, wanted, far, self.outputs)
        names = [each.name for each in self.outputs]
        return [Deviation(image, size, *each) for each in zip(far, allowed, names, strict=True)]

    def calmed(self, size: Size, feed: Mapping[str, Array], there: Sequence[Deviation]) -> list[Deviation]:
        """The deviations ``there`` and those on calm noise, if PyTorch computes the noise worse than a graph must.

        Outputs that it does compute worse may be off by as many times its own error as usual, without an end: calm
        noise alone would pass a graph that is wrong where only full contrast leads.
        """
        taken = arguments(feed, self.inputs)
        wanted = _results(self.network, taken)
        roundings = _roundings(self.network, taken, wanted)
        wholes = [_whole(value, spec) for value, spec in zip(wanted, self.outputs, strict=True)]
        held = [one <= TOLERANCE * whole for one, whole in zip(roundings, wholes, strict=True)]
        if all(held):
            return list(there)
        eased = [
            each if fits else replace(each, allowed=_ROUNDINGS * rounding)
            for each, fits, rounding in zip(there, held, roundings, strict=True)
        ]
        return [*eased, *self.on("calm noise", size, _calm(feed, self.inputs))]


def _calm(feed: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Pictures with a quarter of their contrast.

    Some deep networks amplify noise until float32 holds no digit of the output, in PyTorch as in any runtime: such a
    picture says nothing about a graph. FMEN on noise of 180x320 is 0.2 of 255 levels from float64 in PyTorch.
    """
    middle = {spec.name: np.float32(sum(spec.span) / 2) for spec in inputs if spec.is_picture}
    return {
        name: middle[name] + (value - middle[name]) * np.float32(0.25) if name in middle else value
        for name, value in feed.items()
    }


def _results(module: torch.nn.Module, arguments: Sequence[torch.Tensor]) -> list[Array]:
    """A module's outputs, in order: from a tensor, a tuple, a list or a dict of tensors."""
    with torch.inference_mode():
        return [value.numpy() for value in tree_leaves(module(*arguments))]


def _allowed(
    module: torch.nn.Module,
    arguments: Sequence[torch.Tensor],
    wanted: Sequence[Array],
    far: Sequence[float],
    outputs: Sequence[TensorSpec],
) -> list[float]:
    """Limit of each output: above the usual one only where float32 itself is no more accurate."""
    whole = [_whole(value, each) for value, each in zip(wanted, outputs, strict=True)]
    usual = [TOLERANCE * n for n in whole]
    if all(one <= other for one, other in zip(far, usual, strict=True)):
        return usual
    roundings = _roundings(module, arguments, wanted)
    return [
        max(least, min(_MOST * n, _ROUNDINGS * rounding))
        for least, n, rounding in zip(usual, whole, roundings, strict=True)
    ]


def _whole(values: Array, spec: TensorSpec) -> float:
    """Reference of relative deviations: a picture's range; for other outputs, their largest magnitude."""
    return spec.span[1] - spec.span[0] if spec.is_picture else float(np.abs(values).max(initial=0.0))


def _check_shapes(
    wanted: Sequence[Array], given: Sequence[Array], taken: Size, graph: Graph, outputs: Sequence[TensorSpec]
) -> None:
    for one, other, spec in zip(wanted, given, outputs, strict=True):
        said = shapes.shape_at(spec, taken)
        if one.shape != said:
            what = f"its output {spec.name}" if len(outputs) > 1 else "the network"
            raise CheckFailed(
                f"{graph.spec_name}: for a picture of {taken} {what} gives {one.shape}, and its contract says {said}: "
                "its scale differs from the declared one"
            )
        if one.shape != other.shape:
            raise CheckFailed(
                f"{graph.spec_name}: for {taken} the graph gives {other.shape}, the network {one.shape} ({spec.name})"
            )


def _roundings(module: torch.nn.Module, arguments: Sequence[torch.Tensor], single: Sequence[Array]) -> list[float]:
    """Deviation of PyTorch's float32 outputs from its float64 outputs."""
    wide = [a.double() if a.is_floating_point() else a for a in arguments]
    double = _results(copy.deepcopy(module).double(), wide)
    return [float(np.abs(one - other).max(initial=0.0)) for one, other in zip(single, double, strict=True)]
