"""Calibration of networks with inputs other than pictures: ``.npz`` files, each an example with one array per input."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.disk.litter import is_litter
from clearport.errors import BadInput
from clearport.graph import shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clearport.base import Array, TensorSpec
    from clearport.graph.feeds import Sample

_MOST = 1 << 30
"""Bytes of one example, unpacked."""


def examples(folder: Path) -> list[Path]:
    """The ``.npz`` files of a folder, by name, without hidden ones; none where it holds photos."""
    found = folder.glob("*.npz") if folder.is_dir() else ()
    return sorted(path for path in found if path.is_file() and not is_litter(path.name))


def samples_of(paths: Sequence[Path], inputs: Sequence[TensorSpec], size: Size | None) -> list[Sample]:
    """Examples as samples: pictures uint8 (H, W, C) in the order RGB(A), everything else in the shape of the network.

    Args:
        paths: the files.
        inputs: what the network takes; empty: one RGB picture.
        size: of the input that gives the network its size; None: any.

    Raises:
        BadInput: a file cannot be read, lacks an input or has another one, or an array has another shape or type.
    """
    if not inputs:
        raise BadInput(f"{paths[0]}: this network takes one picture: calibrate it with photos")
    return [_sample(path, inputs, size) for path in paths]


def _sample(path: Path, inputs: Sequence[TensorSpec], size: Size | None) -> Sample:
    arrays = _read(path)
    names = [spec.name for spec in inputs]
    if set(arrays) != set(names):
        raise BadInput(f"{path}: expected arrays named {', '.join(names)}; got {', '.join(arrays) or 'none'}")
    own = size or _size(arrays[shapes.lead(inputs).name], shapes.lead(inputs))
    for spec in inputs:
        _check(path, spec, arrays[spec.name], own)
    return {spec.name: arrays[spec.name] for spec in inputs}


def _read(path: Path) -> Mapping[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST:
                raise BadInput(f"{path}: over {_MOST >> 30} GiB unpacked: give smaller examples")
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise BadInput(f"{path}: not a file of arrays (numpy.savez) that can be read: {error}") from error


def _size(array: Array, spec: TensorSpec) -> Size | None:
    if spec.is_picture and array.ndim == 3:
        return Size(*array.shape[:2])
    return Size(*array.shape[2:]) if array.ndim == 4 else None


def _check(path: Path, spec: TensorSpec, array: Array, size: Size | None) -> None:
    shape = shapes.shape_at(spec, size) if size is not None else spec.shape
    wanted, kinds = (f"{spec.kind}, an array {shape}", "iu" if spec.kind == "index" else "fiu")
    if spec.is_picture:
        shape, kinds = (*shape[2:], shape[1]), "u"
        wanted = f"a picture, uint8 {shape}"
    if array.shape != shape or array.dtype.kind not in kinds or (spec.is_picture and array.dtype != np.uint8):
        raise BadInput(f"{path}: input {spec.name!r} is {wanted}; got {array.dtype} {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadInput(f"{path}: input {spec.name!r} holds numbers that are not finite")
