"""What errors of each activation cost the network's output, from one backward pass.

Rounding makes small errors that do not know of each other, so what they do to the output adds up by squares: an error e
of number i adds (e times its derivative) squared. Of all outputs at once, that is what the gradient of one product of
the outputs with random signs gives, squared, on average: one backward pass on each photo in the place of one run of the
network for each of its values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from clearport.graph import feeds
from clearport.graph import nodes as graphs
from clearport.quantize import footprint
from clearport.quantize.calibration import parallel, photos

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from clearport.base import Array, Graph
    from clearport.graph.feeds import Feed

PIXELS = 27_000
"""Pixels that gradients are taken on, over all photos: three crops of 96x96."""

_SIDES = (128, 96, 64)
"""Crops have so many pixels a side, where the graph can run on them. On smaller ones attention that reduces the picture
(ESA of RFDN: to a sixth) would count for more than in a photo."""

_FEWEST = 3
"""So many crops are wanted before they are made larger."""

_KEPT = 3.0
"""Times the bytes of all values that a backward pass holds."""

TOLERANCE = 1e-3
"""The largest deviation of PyTorch's output from ONNX Runtime's, as a share of the largest: else PyTorch ran another
network, and its gradients say nothing."""


@dataclass(frozen=True)
class Sensitivity:
    """For values of a network, by name; one number for each channel, or one in all where axis 1 holds pixels.

    Attributes:
        weights: what the mean squared error of a channel, zeros left out, adds to that of the outputs (``Measure``).
        peaks: the largest magnitude that was seen.
    """

    weights: Mapping[str, Array]
    peaks: Mapping[str, Array]


def measure(graph: Graph, inputs: Sequence[Feed]) -> Sensitivity | None:
    """On crops of some photos; None where the graph holds what PyTorch's form of it does not.

    Args:
        graph: float32.
        inputs: what it is run on.
    """
    from clearport.quantize.calibration import torch_form

    probes = _probes(graph, inputs)
    memory = _KEPT * sum(footprint.per_pixel(graph).values()) * footprint.largest(probes)
    with _one_thread():
        try:
            if not _same(graph, probes[0]):
                return None
            found = list(parallel.over(lambda n: _felt(graph, probes[n], n), range(len(probes)), memory))
        except (torch_form.Unknown, RuntimeError, TypeError, ValueError):  # PyTorch has no such operator, or form
            return None
    names = [name for name in found[0] if all(name in each for each in found)]
    weights = {name: np.mean([each[name][0] for each in found], axis=0) for name in names}
    return Sensitivity(weights, {name: np.max([each[name][1] for each in found], axis=0) for name in names})


def _probes(graph: Graph, inputs: Sequence[Feed]) -> list[Feed]:
    """Crops of evenly spread photos."""
    for side in _SIDES:
        crops = photos.cropped(graph, inputs, side)
        count = min(len(crops), max(1, PIXELS // footprint.largest(crops)))
        if count >= _FEWEST:
            break
    return [crops[index * len(crops) // count] for index in range(count)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Every photo is computed by one thread: sums of several would depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _same(graph: Graph, feed: Feed) -> bool:
    """Whether PyTorch computes what ONNX Runtime does."""
    import torch

    from clearport.quantize.calibration import torch_form

    wanted = graphs.session(graph.model).run([spec.name for spec in graph.outputs], feed)
    with torch.no_grad():
        values = torch_form.run(graph, {name: torch.from_numpy(array) for name, array in feed.items()})
    given = [values[spec.name].numpy() for spec in graph.outputs]
    return all(
        one.shape == other.shape and np.abs(one - other).max() <= TOLERANCE * np.abs(other).max()
        for one, other in zip(given, wanted, strict=True)
    )


def _felt(graph: Graph, feed: Feed, seed: int) -> dict[str, tuple[Array, Array]]:
    """Weights and peaks of each value on one photo."""
    import torch

    from clearport.quantize.calibration import torch_form

    given = {name: torch.from_numpy(array) for name, array in feed.items()}
    for value in given.values():
        value.requires_grad_(value.is_floating_point())
    values = torch_form.run(graph, given)
    outputs = [values[spec.name] for spec in graph.outputs]
    shared = {graphs.name_of(v) for v in graphs.values(graph) if not _has_channels(v)}
    found: dict[str, tuple[Array, Array]] = {}
    for name, value in values.items():
        if value.requires_grad and value.ndim > 1:
            value.register_hook(partial(_note, found, name, value.detach(), name in shared))  # type: ignore[no-untyped-call]
    generator = np.random.default_rng(seed)
    spans = feeds.spans(graph.outputs, [[out.detach().numpy() for out in outputs]])
    signs = [
        torch.from_numpy(generator.choice(np.array([-1, 1], np.float32), tuple(out.shape)))
        * (spans[0] / span / math.sqrt(len(outputs) * out.numel()))
        for out, span in zip(outputs, spans, strict=True)
    ]
    torch.autograd.backward(outputs, signs)
    return found


def _note(
    found: dict[str, tuple[Array, Array]],
    name: str,
    value: torch.Tensor,
    is_one: bool,
    gradient: torch.Tensor,
) -> None:
    """Keep the weights and peaks of a value."""
    others = [axis for axis in range(value.ndim) if axis != 1 or is_one]
    nonzero = value != 0
    squares = (gradient.square() * nonzero).sum(others) / nonzero.sum(others).clamp(min=1)
    weights = squares.double() * (value.numel() / squares.numel())
    found[name] = (weights.reshape(-1).numpy(), value.abs().amax(others).reshape(-1).numpy())


def _has_channels(value: ir.Value) -> bool:
    """Whether axis 1 is as long in every photo."""
    return value.shape is not None and len(value.shape) > 1 and isinstance(value.shape[1], int)
