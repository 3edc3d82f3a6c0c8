"""Pairs of golden outputs of a bundle: of the fp32 network and of the quantized model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput
from clearport.pictures.images import load_stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.base import Array, TensorSpec
    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import GoldenRecord

_AXES = 4


@dataclass(frozen=True)
class Pair:
    """An output of both for one sample.

    Attributes:
        sample: name of the sample's first input: ``input`` is the photo, ``probe_input`` the probe.
        spec: the output's contract.
        plain, quantized: of the fp32 network and of the quantized model; pictures (uint8 levels) and maps (H, W, C),
            others in the network's own shape.
    """

    sample: str
    spec: TensorSpec
    plain: Array
    quantized: Array

    @property
    def is_image(self) -> bool:
        """Whether it has a height and a width."""
        return len(self.plain.shape) == 3 and len(self.spec.shape) == _AXES

    @property
    def level(self) -> float:
        """One 8-bit level of its range in its values; for values without a range, of the reference's own."""
        if self.spec.is_picture:
            return 1.0
        low, high = self.spec.value_range or (float(self.plain.min()), float(self.plain.max()))
        return (high - low) / 255 or 1.0


def pairs(bundle: Bundle) -> Iterator[Pair]:
    """Every output that both have, the photo's first.

    Raises:
        BadInput: a golden file is missing or cannot be read.
    """
    specs = {spec.name: spec for spec in bundle.manifest.pixel_contract.outputs}
    only = bundle.manifest.pixel_contract.outputs[0]
    for golden in bundle.manifest.goldens:
        if golden.role != "float":
            continue
        other = next((g for g in bundle.manifest.goldens if _same(g, golden)), None)
        spec = specs.get(golden.tensor, only)
        if other is None:
            continue
        made, quantized = (_read(bundle, each, spec) for each in (golden, other))
        if made.shape != quantized.shape:
            raise BadInput(f"{bundle.path(other)}: its shape {quantized.shape} is not {made.shape} of {golden.path}")
        for each, values in ((golden, made), (other, quantized)):
            if not values.size or not np.isfinite(values).all():
                raise BadInput(f"{bundle.path(each)}: golden output {each.name!r} is empty or not finite")
        yield Pair(golden.input, spec, made, quantized)


def _same(other: GoldenRecord, golden: GoldenRecord) -> bool:
    return (other.role, other.input, other.tensor) == ("int8", golden.input, golden.tensor)


def _read(bundle: Bundle, golden: GoldenRecord, spec: TensorSpec) -> Array:
    path = bundle.path(golden)
    if path.suffix == ".png":
        pixels: Array = load_stored(path)
        return pixels
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as held:
            values: Array = held.get_tensor(golden.name)
    except (OSError, SafetensorError, KeyError, AttributeError) as error:
        raise BadInput(f"{path}: no golden output {golden.name!r} can be read: {error}") from error
    if len(spec.shape) == _AXES and values.ndim == _AXES and values.shape[0] == 1:
        values = values[0].transpose(1, 2, 0)
    return values
