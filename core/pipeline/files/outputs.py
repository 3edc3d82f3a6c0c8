"""Output files of an artifact: pictures as PNG, high dynamic range as Radiance or 16-bit PNG, everything else as
``.npy``; and their descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.disk import ours
from clearport.disk.files import atomic_path
from clearport.disk.ours import NPY_MARK
from clearport.disk.outputs import OutFile
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.pictures import light, radiance
from clearport.runtime import pixels
from clearport.runtime.tiling_png import CHANNELS, save_strips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from clearport.base import Array, Artifact, TensorSpec

_BEST = 5


@dataclass(frozen=True)
class Given:
    """An output: its name, kind, file, and a one-line summary.

    ``size`` is height and width of a picture or map, (0, 0) for others.
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
        suffixes = _suffixes(spec)
        path = output if spec is first else output.with_name(f"{output.stem}.{spec.name}{suffixes[0]}")
        if path.suffix.lower() not in suffixes:
            raise BadInput(f"{output}: {_written_as(spec)}; give a name that ends in {' or '.join(suffixes)}")
        found[spec.name] = path
    return found


def claims(where: Iterable[Path]) -> list[OutFile]:
    """The files of ``places``, to be claimed."""
    checks: dict[str, Callable[[Path], bool]] = {
        ".png": partial(ours.is_png, marked=True),
        radiance.SUFFIX: ours.is_radiance,
    }
    return [
        OutFile(path, "--output", "a file that clearport wrote", checks.get(path.suffix.lower(), ours.is_npy))
        for path in where
    ]


def _suffixes(spec: TensorSpec) -> tuple[str, ...]:
    if spec.transfer:
        return radiance.SUFFIX, ".png"
    return (".png",) if spec.is_picture and spec.channels in CHANNELS else (".npy",)


def _written_as(spec: TensorSpec) -> str:
    if spec.transfer:
        return "high dynamic range is written as Radiance, or as 16-bit PNG"
    return "the restored picture is written as PNG" if spec.is_picture else f"{spec.name!r} is written as array"


def save_light(path: Path, size: Size, strips: Iterable[Array]) -> None:
    """Write values in ``gamma-2.2``, strips (rows, width, 3): their linear light as Radiance, or as they are as 16-bit
    PNG.

    Raises:
        BadInput: the path cannot be written.
    """
    if path.suffix.lower() == radiance.SUFFIX:
        radiance.save(path, light.linear(np.concatenate(list(strips))))
        return
    levels = (np.rint(65535.0 * np.clip(strip, 0.0, 1.0)).astype(np.uint16) for strip in strips)
    save_strips(path, size, levels, 3, gamma=light.GAMMA)


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
            save_array(path, picture)
        return Given(spec.name, spec.kind, path, f"{size[1]}x{size[0]}, {spec.color}", (size[0], size[1]))
    if spec.transfer:
        found = pixels.to_map(tensor, spec)
        save_light(path, Size(*found.shape[:2]), [found])
        return Given(spec.name, spec.kind, path, f"{found.shape[1]}x{found.shape[0]}, light", found.shape[:2])
    values = pixels.to_values(tensor, spec)
    save_array(path, values)
    size = values.shape[2:] if values.ndim == 4 else (0, 0)
    return Given(spec.name, spec.kind, path, _words(values, spec), (size[0], size[1]))


def save_array(path: Path, array: Array) -> None:
    """Write an array as ``.npy``, with a mark after its data, which readers ignore."""
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
        names = spec.labels if len(spec.labels) == len(flat) else tuple(map(str, range(len(flat))))
        return f"{shape}; most probable: " + ", ".join(f"{names[i]} ({chances[i]:.1%})" for i in best)
    return f"{shape}; from {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}"
