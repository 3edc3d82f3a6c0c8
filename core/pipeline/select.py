"""Selection of a bundle's artifacts for a command, and checks of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import PRECISIONS, TensorSpec, scale_word
from clearport.errors import BadInput
from clearport.registry import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord


def select(bundle: Bundle, targets: tuple[str, ...], precisions: tuple[str, ...]) -> list[ArtifactRecord]:
    """The artifacts of ``targets`` (empty: all) at ``precisions`` (empty: all), in the bundle's order.

    Raises:
        BadInput: a name is unknown, or the bundle has no such artifact.
    """
    for name in targets:
        TARGETS.get(name)
    unknown = [p for p in precisions if p not in PRECISIONS]
    if unknown:
        raise BadInput(f"unknown precision {unknown[0]!r} (available: {', '.join(PRECISIONS)})")
    found = [
        record
        for record in bundle.artifacts
        if (not targets or record.target in targets) and (not precisions or record.precision in precisions)
    ]
    if not found:
        there = ", ".join(record.key for record in bundle.artifacts) or "nothing"
        raise BadInput(f"{bundle.folder}: no artifact matches --target/--precision (available: {there})")
    return found


def plain_scale(bundle: Bundle, command: str, *, cropped: bool = False) -> int:
    """The integer scale of the picture.

    Raises:
        BadInput: the network's input or output is not one RGB picture, the scale is not an integer, or the output lacks
            a border where that is not allowed (``cropped``).
    """
    contract, scale, crop = bundle.manifest.pixel_contract, bundle.manifest.model.scale, bundle.manifest.model.crop
    if not all(len(specs) == 1 and _is_rgb(specs[0]) for specs in (contract.inputs, contract.outputs)):
        told = f"its inputs are {_words(contract.inputs)}, its outputs {_words(contract.outputs)}"
        raise BadInput(
            f"{bundle.folder}: clearport {command} is for networks with one RGB picture as input and one as "
            f"output; {told}"
        )
    if int(scale) != scale:
        raise BadInput(
            f"{bundle.folder}: clearport {command} needs an integer scale, but this network's is x{scale_word(scale)}"
        )
    if crop and not cropped:
        raise BadInput(
            f"{bundle.folder}: clearport {command} needs outputs of the input's size times the scale, but this "
            f"network's differ by {abs(crop)} pixels because of its padding; 'clearport run' pads the picture first"
        )
    return int(scale)


def _is_rgb(spec: TensorSpec) -> bool:
    return spec.is_picture and spec.color == "RGB"


def _words(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{s.name} ({s.color if s.is_picture else ''}{' ' * s.is_picture}{s.kind})" for s in specs)
