"""Output files of an artifact: pictures as PNG, everything else as ``.npy``; and their descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.disk.files import atomic_path
from clearport.disk.ours import NPY_MARK
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.runtime import pixels
from clearport.runtime.tiling_png import CHANNELS, save_strips

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Array, Artifact, TensorSpec

_BEST = 5


@dataclass(frozen=True)
class Given:
    """An output: its name, kind, file, and a one-line summary.

    ``size`` is height and width of a picture or map, and (0, 0) of others.
    """

    name: str
    kind: str
    path: Path
    words: str
    size: tuple[int, int] = (0, 0)


def places(artifact: Artifact, output: Path) -> dict[str, Path]:
    """The file of each output: ``output`` for the first picture, files beside it for the others.

    Raises:
        BadInput: its suffix does not match the file type.
    """
    first = shapes.lead(artifact.outputs)
    found = {}
    for spec in artifact.outputs:
        suffix = ".png" if spec.is_picture and spec.channels in CHANNELS else ".npy"
        path = output if spec is first else output.with_name(f"{output.stem}.{spec.name}{suffix}")
        if path.suffix.lower() != suffix:
            what = (
                "the restored picture is written as PNG" if suffix == ".png" else f"{spec.name!r} is written as array"
            )
            raise BadInput(f"{output}: {what}; give a name that ends in {suffix}")
        found[spec.name] = path
    return found


def save(spec: TensorSpec, tensor: Array, path: Path) -> Given:
    """Write one output.

    Raises:
        BadInput: the path cannot be written.
    """
    if spec.is_picture:
        picture = pixels.to_image(tensor, spec)
        size = picture.shape[:2]
        if spec.channels in CHANNELS:
            save_strips(path, Size(*size), [picture], spec.channels)
        else:
            _save_array(path, picture)
        return Given(spec.name, spec.kind, path, f"{size[1]}x{size[0]}, {spec.color}", (size[0], size[1]))
    values = pixels.to_values(tensor, spec)
    _save_array(path, values)
    size = values.shape[2:] if values.ndim == 4 else (0, 0)
    return Given(spec.name, spec.kind, path, _words(values, spec), (size[0], size[1]))


def _save_array(path: Path, array: Array) -> None:
    """An array as ``.npy``, with a mark after its data, which readers ignore."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.write(NPY_MARK)


def _words(values: Array, spec: TensorSpec) -> str:
    shape = "x".join(map(str, values.shape)) or "1"
    if spec.judged_by in {"logits", "probabilities"} and values.ndim <= 2:
        flat = values.reshape(-1).astype(np.float64)
        chances = flat
        if spec.judged_by == "logits" and len(flat) > 1:
            powers = np.exp(flat - flat.max())
            chances = powers / powers.sum()
        best = np.argsort(-chances, kind="stable")[:_BEST]
        return f"{shape}; most probable: " + ", ".join(f"{i} ({chances[i]:.1%})" for i in best)
    return f"{shape}; from {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}"
