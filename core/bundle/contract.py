"""Whether what a manifest says of sizes fits together: inputs, outputs, and the scale of the network between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.runtime.pixels import image_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.base import TensorSpec

    Ends = tuple[Sequence[TensorSpec], Sequence[TensorSpec]]  # inputs and outputs

_SIDES = ("height", "width")


def contract_contradictions(scale: int, size_multiple: int, network: Ends, artifacts: Sequence[Ends]) -> Iterator[str]:
    """Where an artifact takes or gives a picture of another size than the network, as ``field: what is wrong``."""
    named = [("pixel_contract", network), *((f"artifacts.{i}", ends) for i, ends in enumerate(artifacts))]
    for where, (inputs, outputs) in named:
        yield from _enlarged(where, inputs, outputs, scale)
        yield from _like(f"{where}.inputs", inputs, network[0])
        yield from _like(f"{where}.outputs", outputs, network[1])
        for side, length in zip(_SIDES, image_size(inputs[0]), strict=True):
            if isinstance(length, int) and length % size_multiple:
                yield f"{where}.inputs.0: {side} {length} is no multiple of model.size_multiple {size_multiple}"


def _enlarged(where: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], scale: int) -> Iterator[str]:
    for side, taken, given in zip(_SIDES, image_size(inputs[0]), image_size(outputs[0]), strict=True):
        if isinstance(taken, int) and isinstance(given, int) and given != taken * scale:
            yield f"{where}.outputs.0: {side} {given} for an input of {taken} is not the scale {scale} of the model"


def _like(where: str, specs: Sequence[TensorSpec], contract: Sequence[TensorSpec]) -> Iterator[str]:
    """A size may be free on one side."""
    for i, (spec, wanted) in enumerate(zip(specs, contract, strict=False)):
        for side, mine, other in zip(_SIDES, image_size(spec), image_size(wanted), strict=True):
            if isinstance(mine, int) and isinstance(other, int) and mine != other:
                yield f"{where}.{i}: {side} {mine}, and the network's is {other}"
