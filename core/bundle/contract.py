"""Consistency of the sizes in a manifest: inputs, outputs, and the network's scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from clearport.graph import shapes
from clearport.runtime.pixels import image_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.base import Scale, TensorSpec

    Ends = tuple[Sequence[TensorSpec], Sequence[TensorSpec]]  # inputs and outputs

_SIDES = ("height", "width")
_AXES = 4


class Growing(Protocol):
    """Output sides are ``scale`` times the input's less ``crop``; input sides are multiples of ``size_multiple``."""

    @property
    def scale(self) -> Scale: ...

    @property
    def crop(self) -> int: ...

    @property
    def size_multiple(self) -> int: ...


def contract_contradictions(model: Growing, network: Ends, artifacts: Sequence[Ends]) -> Iterator[str]:
    """Differences between an artifact's tensors and the network's, as ``field: problem``."""
    named = [("pixel_contract", network), *((f"artifacts.{i}", ends) for i, ends in enumerate(artifacts))]
    for where, (inputs, outputs) in named:
        yield from _enlarged(where, shapes.lead(inputs), shapes.lead(outputs), model)
        for word, specs, contract in (("inputs", inputs, network[0]), ("outputs", outputs, network[1])):
            yield from _same(f"{where}.{word}", specs, contract)
            yield from _like(f"{where}.{word}", specs, contract)
            yield from _plain(f"{where}.{word}", specs)
        for side, length in _sides(shapes.lead(inputs)):
            if isinstance(length, int) and length % model.size_multiple:
                multiple = f"model.size_multiple {model.size_multiple}"
                yield f"{where}.inputs.0: {side} {length} is not a multiple of {multiple}"


def _plain(where: str, specs: Sequence[TensorSpec]) -> Iterator[str]:
    """An export folds normalization into the files: a tensor of a bundle has none."""
    for i, spec in enumerate(specs):
        if spec.mean or spec.std:
            yield f"{where}.{i}: mean and std, and files of a bundle accept plain pictures"


def _sides(spec: TensorSpec) -> list[tuple[str, int | str]]:
    """Height and width by name; empty unless the tensor has four axes."""
    return list(zip(_SIDES, image_size(spec), strict=True)) if len(spec.shape) == _AXES else []


def _enlarged(where: str, source: TensorSpec, result: TensorSpec, model: Growing) -> Iterator[str]:
    if not (source.is_picture and result.is_picture):
        return
    for (side, taken), (_, given) in zip(_sides(source), _sides(result), strict=True):
        if isinstance(taken, int) and isinstance(given, int) and given != taken * model.scale - model.crop:
            less = f" less {model.crop}" if model.crop else ""
            yield (
                f"{where}.outputs.0: {side} {given} for an input of {taken} is not the scale {model.scale}{less} "
                "of the model"
            )


def _same(where: str, specs: Sequence[TensorSpec], contract: Sequence[TensorSpec]) -> Iterator[str]:
    """Whether names and kinds are the network's, in its order."""
    mine, wanted = ([(spec.name, spec.kind) for spec in each] for each in (specs, contract))
    if mine != wanted:
        told = (", ".join(f"{name} ({kind})" for name, kind in each) for each in (mine, wanted))
        yield "{}: {}, and the network's are {}".format(where, *told)


def _like(where: str, specs: Sequence[TensorSpec], contract: Sequence[TensorSpec]) -> Iterator[str]:
    """Whether sizes agree; dynamic ones match any size."""
    for i, (spec, wanted) in enumerate(zip(specs, contract, strict=False)):
        if len(spec.shape) != len(wanted.shape):
            yield f"{where}.{i}: {len(spec.shape)} axes, and the network's has {len(wanted.shape)}"
            continue
        for (side, mine), (_, other) in zip(_sides(spec), _sides(wanted), strict=True):
            if isinstance(mine, int) and isinstance(other, int) and mine != other:
                yield f"{where}.{i}: {side} {mine}, and the network's is {other}"
