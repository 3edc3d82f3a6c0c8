"""Sensitivity of the network's output to errors of each activation, from one backward pass.

Rounding errors are small and independent, so their squared effects on the output add up: an error e of element i adds
(e times its derivative) squared. The squared gradient of the outputs' product with random signs has this sum over all
outputs as its expectation: one backward pass per photo replaces one run of the network per value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
"""Pixels for gradients, over all photos: three crops of 96x96."""

_SIDES = (128, 96, 64)
"""Crop side in pixels, if the graph can run at it. On smaller crops, attention with downsampling (ESA of RFDN: to a
sixth) would weigh more than in a photo."""

_FEWEST = 3
"""The minimum number of crops before their size is increased."""

_KEPT = 3.0
"""Peak memory of a backward pass, as a multiple of the bytes of all values."""

_PARTS = 8
"""The number of parts that a backward pass is divided into if it needs more than ``parallel.MEMORY``: each part is
computed again before its backward pass, which holds the values between parts and those of one part."""

TOLERANCE = 1e-3
"""The largest accepted deviation of PyTorch's output from ONNX Runtime's, relative to the largest output; beyond it,
PyTorch ran a different network and its gradients are meaningless."""


@dataclass(frozen=True)
class Sensitivity:
    """Per value name: one number per channel, or one in total if axis 1 is spatial.

    Attributes:
        weights: contribution of a channel's mean squared error, zeros excluded, to that of the outputs (``Measure``).
        peaks: the largest observed magnitude.
    """

    weights: Mapping[str, Array]
    peaks: Mapping[str, Array]


def measure(graph: Graph, inputs: Sequence[Feed]) -> Sensitivity | None:
    """Measure on crops of some photos; None if the graph has operators that ``torch_form`` lacks.

    Args:
        graph: float32.
        inputs: its feeds.
    """
    from clearport.quantize.calibration import torch_form

    probes = _probes(graph, inputs)
    memory = _KEPT * sum(footprint.per_pixel(graph).values()) * footprint.largest(probes)
    with _one_thread():
        try:
            if not _same(graph, probes[0]):
                return None
            parts = 1 if memory <= parallel.MEMORY else _PARTS
            found = list(parallel.over(lambda n: _felt(graph, probes[n], n, parts), range(len(probes)), memory))
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
    """Compute every photo with one thread: sums would depend on the number of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _same(graph: Graph, feed: Feed) -> bool:
    """Whether PyTorch's outputs match ONNX Runtime's."""
    import torch

    from clearport.quantize.calibration import torch_form

    wanted = graphs.session(graph.model).run([spec.name for spec in graph.outputs], feed)
    with torch.no_grad():
        outputs = torch_form.run(graph, {name: torch.from_numpy(array) for name, array in feed.items()})
    given = [value.numpy() for value in outputs]
    return all(
        one.shape == other.shape and np.abs(one - other).max() <= TOLERANCE * np.abs(other).max()
        for one, other in zip(given, wanted, strict=True)
    )


def _felt(graph: Graph, feed: Feed, seed: int, parts: int) -> dict[str, tuple[Array, Array]]:
    """Weights and peaks of each value on one photo."""
    import torch

    from clearport.quantize.calibration import torch_form

    given = {name: torch.from_numpy(array) for name, array in feed.items()}
    for value in given.values():
        value.requires_grad_(value.is_floating_point())
    shared = {graphs.name_of(v) for v in graphs.values(graph) if not _has_channels(v)}
    found: dict[str, tuple[Array, Array]] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if value.requires_grad and value.ndim > 1:
            value.register_hook(_noting(found, name, value.detach(), name in shared))  # type: ignore[no-untyped-call]

    outputs = torch_form.run(graph, given, watch, parts)
    generator = np.random.default_rng(seed)
    spans = feeds.spans(graph.outputs, [[out.detach().numpy() for out in outputs]])
    signs = [
        torch.from_numpy(generator.choice(np.array([-1, 1], np.float32), tuple(out.shape)))
        * (spans[0] / span / math.sqrt(len(outputs) * out.numel()))
        for out, span in zip(outputs, spans, strict=True)
    ]
    torch.autograd.backward(outputs, signs)
    return found


def _noting(
    found: dict[str, tuple[Array, Array]], name: str, value: torch.Tensor, is_one: bool
) -> Callable[[torch.Tensor], None]:
    """What keeps the weights and peaks of a value once its gradient is known; of the value only its zeros are held."""
    others = [axis for axis in range(value.ndim) if axis != 1 or is_one]
    peaks, size = _array(value.abs().amax(others)), value.numel()
    nonzero = value != 0
    counts = nonzero.sum(others).clamp(min=1)
    mask = None if nonzero.all() else nonzero

    def note(gradient: torch.Tensor) -> None:
        squares = gradient.square() if mask is None else gradient.square() * mask
        means = squares.sum(others) / counts
        found[name] = (_array(means.double() * (size / means.numel())), peaks)

    return note


def _array(tensor: torch.Tensor) -> Array:
    """A copy in one axis: what shares memory with PyTorch keeps more of it from being released."""
    return np.array(tensor.reshape(-1).numpy())


def _has_channels(value: ir.Value) -> bool:
    """Whether axis 1 is as long in every photo."""
    return value.shape is not None and len(value.shape) > 1 and isinstance(value.shape[1], int)
