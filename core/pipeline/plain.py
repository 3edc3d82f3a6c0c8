"""Bundles whose network makes one RGB picture of one, as the page in browsers and the scores against pairs want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import BadInput, TensorSpec, scale_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.bundle.folder import Bundle


def plain_scale(bundle: Bundle, command: str) -> int:
    """How many times as large the picture gets.

    Raises:
        BadInput: the network takes or gives something else than one RGB picture, or the scale is no whole number.
    """
    contract, scale = bundle.manifest.pixel_contract, bundle.manifest.model.scale
    if not all(len(specs) == 1 and _is_rgb(specs[0]) for specs in (contract.inputs, contract.outputs)):
        told = f"it takes {_words(contract.inputs)} and gives {_words(contract.outputs)}"
        raise BadInput(f"{bundle.folder}: clearport {command} is for networks that make one RGB picture of one; {told}")
    if int(scale) != scale:
        raise BadInput(f"{bundle.folder}: clearport {command} is for whole scales, and this is x{scale_word(scale)}")
    return int(scale)


def _is_rgb(spec: TensorSpec) -> bool:
    return spec.is_picture and spec.color == "RGB"


def _words(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{s.name} ({s.color if s.is_picture else ''}{' ' * s.is_picture}{s.kind})" for s in specs)
