"""Code for files other than one RGB picture to one RGB picture: their inputs and outputs, for the templates
``usage_tensors_<target>.<language>.j2``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearport.graph import shapes
from clearport.reports.templates import literal
from clearport.reports.text import contract

if TYPE_CHECKING:
    from clearport.base import Scale, TensorSpec
    from clearport.reports.usage import Codec

PREFIX = "usage_tensors_"
_MODES = {"RGB": "RGB", "BGR": "RGB", "RGBA": "RGBA", "BGRA": "RGBA", "Y": "L"}
"""Color formats supported by PNG -> Pillow's mode."""
_ORDERS = {"BGR": "[..., ::-1]", "BGRA": "[..., [2, 1, 0, 3]]"}
"""Python index that converts that channel order to PNG's, and back."""


@dataclass(frozen=True)
class End:
    """An input or output in code.

    Attributes:
        spec: its contract.
        codec: conversion of pixels; None for tensors other than pictures.
        name: an identifier.
        load: Python code that reads it, from a file of its name; a state is initialized with zeros.
        save: Python code that writes it.
    """

    spec: TensorSpec
    codec: Codec | None
    name: str
    load: str
    save: str

    @classmethod
    def of(cls, spec: TensorSpec, codec: Codec | None) -> End:
        """The ``End`` of a tensor."""
        name = re.sub(r"\W", "_", spec.name)
        return cls(spec, codec, name, _load(spec), _save(spec))

    @property
    def words(self) -> str:
        """The contract in one line."""
        return contract(self.spec)

    @property
    def picture(self) -> bool:
        """Whether it is an image in Core ML."""
        return self.spec.is_picture and self.spec.dtype == "uint8"

    @property
    def image(self) -> bool:
        """Whether it is an image in Core AI, where quantized pictures are uint8 tensors, too."""
        return self.picture and self.spec.layout == "NHWC"

    @property
    def height(self) -> int | None:
        size = shapes.size_of(self.spec)
        return size.height if size else None

    @property
    def width(self) -> int | None:
        size = shapes.size_of(self.spec)
        return size.width if size else None


def is_plain(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], scale: Scale, crop: int) -> bool:
    """Whether a network's input and output are one RGB picture each, with an integer scale and no cropped border."""
    single = len(inputs) == len(outputs) == 1 and int(scale) == scale and not crop
    return single and all(spec.is_picture and spec.color in {"RGB", "BGR"} for spec in (*inputs, *outputs))


def _load(spec: TensorSpec) -> str:
    if spec.is_picture and spec.color in _MODES:
        mode = _MODES[spec.color]
        gray = "[..., None]" if mode == "L" else _ORDERS.get(spec.color, "")
        return f'np.asarray(Image.open({literal(f"{spec.name}.png")}).convert("{mode}")){gray}'
    if spec.kind == "state" and not spec.dynamic:
        return f"np.zeros({spec.shape}, np.{spec.dtype})"
    return f"np.load({literal(f'{spec.name}.npy')})"


def _save(spec: TensorSpec) -> str:
    if not spec.is_picture:
        return f"np.save({literal(f'{spec.name}.npy')}, outputs[{literal(spec.name)}])"
    if spec.color not in _MODES:
        return f"np.save({literal(f'{spec.name}.npy')}, p)"
    gray = "[..., 0]" if _MODES[spec.color] == "L" else _ORDERS.get(spec.color, "")
    return f"Image.fromarray(p{gray}).save({literal(f'{spec.name}.png')})"
