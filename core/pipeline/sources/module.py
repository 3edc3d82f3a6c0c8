"""A network that is the user's PyTorch module, or a program written by ``torch.export.save``."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from clearport.base import Artifact, Size, TensorSpec
from clearport.bundle.files import TORCH_NETWORK
from clearport.errors import BadInput
from clearport.export import from_torch
from clearport.export.deviations import arguments
from clearport.export.from_onnx.ends import plain_name
from clearport.graph import feeds, shapes
from clearport.models import modes, normalized, pt2
from clearport.pipeline.sources import measure, ranges
from clearport.pipeline.sources.foreign import Description, cost_of, described, fixed_size
from clearport.pipeline.sources.program import Program
from clearport.pipeline.sources.source import About, Traits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clearport.base import Array, Graph
    from clearport.models.cost import Cost
    from clearport.pipeline.sources.contract import Contract
    from clearport.protocols import Progress

CHANNELS = (3, 1, 4, 6, 9, 12, 2, 8, 16)
"""Channel counts to try, in this order, if a network's input is unknown."""
SIDES = (64, 128, 256, 224, 96, 512)
"""Sides that are tried likewise."""


class Exported(NamedTuple):
    """The result of one ``graph`` call: the size, PyTorch's program, and the graph."""

    size: Size | None
    program: torch.export.ExportedProgram
    graph: Graph


@dataclass(frozen=True)
class ModuleSource:
    """See ``Source``. ``exported`` grows with each ``graph`` call."""

    module: nn.Module
    found: Description
    origin: str
    exported: list[Exported]
    own: bool = False

    @property
    def traits(self) -> Traits:
        return self.found.traits

    def graph(self, size: Size | None, progress: Progress) -> Graph:
        progress("exporting the graph", 0, 0)
        program = from_torch.program_of(self.module, self.traits, size)
        graph = from_torch.export_graph(self.module, self.traits, self.traits.scale, size, program)
        self.exported.append(Exported(size, program, graph))
        return graph

    def keep(self, folder: Path) -> Artifact:
        size, program, _ = self.exported[-1]
        inputs, outputs = (shapes.at(ends, size) for ends in (self.traits.inputs, self.traits.outputs))
        path = folder / TORCH_NETWORK
        plain = normalized.module(self.module, inputs)
        if plain is not self.module:  # the kept program accepts plain pictures, too
            program = from_torch.program_of(plain, self.traits, size)
        pt2.save(path, program, [s.name for s in inputs], [s.name for s in outputs])
        return Artifact("torch", "fp32", path, "", tuple(map(normalized.plain, inputs)), outputs, {})

    def rounded(self, graph: Graph) -> None:
        del graph

    def trained(self, graph: Graph) -> None:
        del graph

    def cost(self, size: Size) -> Cost:
        counted = cost_of(self.exported[-1].graph, size)
        return replace(counted, params=sum(p.numel() for p in self.module.parameters()) or counted.params)

    def about(self) -> About:
        return About({"source": self.origin, "found": dict(self.found.how)}, self.traits.license)


def module_source(given: Any, name: str, size: Size | None, origin: str, contract: Contract) -> ModuleSource:
    """Determine a module's inputs and outputs.

    Args:
        given: a module in eval mode, or a pair of it and a tuple of example inputs (batch 1).
        name: name of the network.
        size: the requested export size, if any.
        origin: description of its origin.
        contract: the user's contract.

    Raises:
        BadInput: it is not a module, in training mode, on another device, draws random numbers, or accepts none of the
            tried inputs.
    """
    module, examples = _parts(given, name)
    _check_module(module, name)
    inputs = _inputs(module, examples, name, size)
    module = _opened(module, examples)
    run = partial(_run, module, [spec.name for spec in inputs], name)
    candidate = measure.Candidate(name, inputs, run)
    probe = fixed_size(inputs)
    modes.check_repeatable(module, arguments(candidate.filled(probe), inputs), name)
    freed = measure.Candidate(name, shapes.freed(inputs, probe), run)
    free = any(spec.dynamic for spec in freed.inputs) and _takes_any(freed)
    outputs = list(run(candidate.filled(probe)))
    build = partial(_graph, module, name)
    found = described(freed if free else candidate, outputs, name, free=free, contract=contract, build=build)
    return ModuleSource(module, found, origin, [])


def _parts(given: Any, name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    module, examples = given if isinstance(given, tuple) and len(given) == 2 else (given, ())
    examples = (examples,) if isinstance(examples, torch.Tensor) else tuple(examples)
    if not isinstance(module, nn.Module) or not all(isinstance(value, torch.Tensor) for value in examples):
        raise BadInput(
            f"{name}: expected a torch.nn.Module, or a pair of it and a tuple of example tensors; got "
            f"{type(module).__name__}"
        )
    return module, examples


class _Opened(nn.Module):
    """A network whose inputs are float32 and have an axis, which targets need: whole numbers are rounded to."""

    def __init__(self, inner: nn.Module, kinds: Sequence[tuple[torch.dtype, bool]]) -> None:
        super().__init__()
        self.inner, self.kinds = inner, tuple(kinds)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.inner(*(_as_given(value, *kind) for value, kind in zip(inputs, self.kinds, strict=True)))


def _as_given(value: torch.Tensor, dtype: torch.dtype, single: bool) -> torch.Tensor:
    value = value.reshape(()) if single else value
    if dtype.is_floating_point:
        return value
    return value > 0.5 if dtype == torch.bool else value.round().to(dtype)


def _opened(module: nn.Module, examples: Sequence[torch.Tensor]) -> nn.Module:
    if all(value.is_floating_point() and value.ndim for value in examples):
        return module
    return _Opened(module, [(value.dtype, not value.ndim) for value in examples]).train(module.training)


def _check_module(module: nn.Module, name: str) -> None:
    modes.check_eval(module, name)
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if value.device.type != "cpu":
            raise BadInput(
                f"{name}: {key!r} is on {value.device}; clearport exports on the CPU: call .cpu() on the network"
            )
        if value.is_floating_point() and value.dtype != torch.float32:
            raise BadInput(f"{name}: {key!r} is {value.dtype}; clearport exports float32: call .float() on the network")


def _inputs(
    module: nn.Module, examples: Sequence[torch.Tensor], name: str, size: Size | None
) -> tuple[TensorSpec, ...]:
    """The module's inputs, by example or by trial."""
    words = _arguments(module, len(examples))
    if examples:
        if len(examples) != len(words):
            raise BadInput(f"{name}: {len(examples)} example inputs, but its forward accepts {len(words)}")
        return tuple(
            _spec(word, tuple(value.shape) or (1,), value.dtype) for word, value in zip(words, examples, strict=True)
        )
    if len(words) != 1:
        raise BadInput(
            f"{name}: its forward accepts {len(words)} inputs ({', '.join(words)}): give example tensors for "
            f"their shapes, "
            "as a pair (module, (tensor, ...))"
        )
    sizes = [size] if size is not None else [Size(side, side) for side in SIDES]
    said = ""
    for tried in sizes:
        for channels in _channels(module):
            spec = _spec(words[0], (1, channels, tried.height, tried.width), torch.float32)
            try:
                _run(module, [spec.name], name, feeds.noise([replace(spec, value_range=(0.0, 1.0))], tried))
            except BadInput as error:
                said = said or str(error)
                continue
            return (spec,)
    raise BadInput(
        f"{said}; tried pictures of {', '.join(map(str, sizes))}: give an example, as a pair (module, (tensor,))"
    )


def _channels(module: nn.Module) -> list[int]:
    """Candidates to try, beginning with the channels of the first convolution."""
    first = next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), CHANNELS[0])
    return list(dict.fromkeys((first, *CHANNELS)))


def _arguments(module: nn.Module, wanted: int) -> list[str]:
    """Names of ``forward``'s tensor arguments: those without a default, or as many as there are examples."""
    if isinstance(module, Program):
        return list(module.names)
    parameters = [
        p
        for p in inspect.signature(module.forward).parameters.values()
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
    ]
    needed = sum(p.default is p.empty for p in parameters)
    names: list[str] = []
    for parameter in parameters[: max(needed, min(wanted, len(parameters)))]:
        names.append(plain_name(parameter.name, names))
    variadic = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(module.forward).parameters.values())
    return [f"input_{i + 1}" for i in range(max(1, wanted))] if variadic and not names else names


def _spec(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> TensorSpec:
    span = None if dtype.is_floating_point else ranges.UNIT
    return TensorSpec(name, shape, value_range=span, kind="picture" if len(shape) == 4 else "vector")


def _run(module: nn.Module, names: Sequence[str], title: str, given: Mapping[str, Array]) -> dict[str, Array]:
    """One inference; any exception of the module counts as a rejected size."""
    try:
        with torch.inference_mode():
            found = tree_leaves(module(*(torch.from_numpy(given[name]) for name in names)))
    except Exception as error:  # user code may raise anything
        raise BadInput(f"{title}: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    if not found or not all(isinstance(value, torch.Tensor) for value in found):
        raise BadInput(f"{title}: it returns {type(found[0]).__name__ if found else 'nothing'}; expected tensors")
    single = "restored" if found[0].ndim == 4 else "output"
    words = [single] if len(found) == 1 else [f"output_{i + 1}" for i in range(len(found))]
    return {word: value.numpy() for word, value in zip(words, found, strict=True)}


def _takes_any(candidate: measure.Candidate) -> bool:
    try:
        measure.sizes(candidate)
    except BadInput:
        return False
    return True


def _graph(module: nn.Module, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Graph:
    size = shapes.size_of(shapes.lead(inputs))
    traits = Traits(name, "other", 1, 0, False, 1, 1, "", inputs=tuple(inputs), outputs=tuple(outputs))
    return from_torch.graph_of(from_torch.program_of(module, traits, size), traits, 1, size)
