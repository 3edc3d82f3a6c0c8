"""Input files of an artifact: pictures, and ``.npy`` arrays for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.errors import BadInput
from clearport.pictures.images import load_picture, load_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, Artifact, TensorSpec
    from clearport.graph.feeds import Sample

_ARRAY = ".npy"
_MOST = 1 << 31
"""Maximum size of an array file, in bytes."""


@dataclass(frozen=True)
class Taken:
    """A sample, whether all of its pictures are gray for color inputs, and losses in reading."""

    sample: Sample
    gray: bool
    read: str


def taken(artifact: Artifact, files: Mapping[str, Path]) -> Taken:
    """Read the files of ``assigned``. Missing states are zero.

    Raises:
        BadInput: an input is missing, or a file cannot be read.
    """
    sample: dict[str, Array] = {}
    grays, remarks = [], []
    for spec in artifact.inputs:
        if spec.name not in files and spec.kind == "state" and not spec.dynamic:
            sample[spec.name] = np.zeros(_network_shape(spec), np.float32)
            continue
        if spec.name not in files:
            wanted = ", ".join(f"{s.name} ({s.kind})" for s in artifact.inputs)
            raise BadInput(f"{artifact.key} has {len(artifact.inputs)} inputs: {wanted}; {spec.name!r} was not given")
        path = files[spec.name]
        if spec.is_picture and path.suffix.lower() != _ARRAY:
            pixels, gray, said = _picture(path, spec)
            sample[spec.name] = pixels
            grays.append(gray)
            remarks += said
        else:
            sample[spec.name] = _array(path, spec)
    told = f"of the picture: {', '.join(dict.fromkeys(remarks))}" if remarks else ""
    return Taken(sample, bool(grays) and all(grays), told)


def assigned(artifact: Artifact, given: Sequence[str | Path]) -> dict[str, Path]:
    """Input -> file, from files in input order or as ``NAME=FILE``; an unknown name counts as part of the path.

    Raises:
        BadInput: more files than inputs, or two for one input.
    """
    names = [spec.name for spec in artifact.inputs]
    return placed(
        given, names, names, f"{artifact.key} has {len(names)} inputs ({', '.join(names)}), {len(given)} were given"
    )


def placed(given: Sequence[str | Path], names: Sequence[str], ordered: Sequence[str], too_many: str) -> dict[str, Path]:
    """Name -> file, from files as ``NAME=FILE`` for one of ``names``, and others in the order of ``ordered``.

    Raises:
        BadInput: more files than ``ordered`` names (``too_many``), two for one name, or no file or name of this kind.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, sign, rest = str(each).partition("=")
        if name in names and sign and not rest:
            raise BadInput(f"{each}: no file is named after the equals sign")
        if name not in names and name.isidentifier() and rest and not Path(each).exists():
            raise BadInput(f"{each}: no such file, and no input is called {name!r}: there is {', '.join(names)}")
        if not sign or name not in names:
            free = [known for known in ordered if known not in found]
            if not free:
                raise BadInput(too_many)
            name, rest = free[0], str(each)
        if name in found:
            raise BadInput(f"input {name!r} is given twice: {found[name]} and {rest}")
        found[name] = Path(rest)
    return found


def _network_shape(spec: TensorSpec) -> tuple[int, ...]:
    """The fixed shape of an input in the axis order of the network."""
    shape = tuple(n for n in spec.shape if isinstance(n, int))
    return tuple(shape[i] for i in (0, 3, 1, 2)) if spec.layout == "NHWC" and len(shape) == 4 else shape


def _picture(path: Path, spec: TensorSpec) -> tuple[Array, bool, list[str]]:
    """Pixels in the colors of an input, whether they are gray, and remarks."""
    if spec.color in {"RGB", "BGR"}:
        loaded = load_picture(path)
        return loaded.pixels, loaded.gray, list(loaded.remarks)
    if spec.color == "Y":
        loaded = load_picture(path)
        luma = np.rint(loaded.pixels @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)
        return luma, False, [*loaded.remarks, *([] if loaded.gray else ["its colors became gray"])]
    pixels = load_stored(path)
    if pixels.shape[2] != spec.channels:
        raise BadInput(
            f"{path}: it has {pixels.shape[2]} channels, and input {spec.name!r} has {spec.channels} ({spec.color}): "
            f"give a PNG with that many, or an array (H, W, {spec.channels}) of uint8 ({_ARRAY})"
        )
    return pixels, False, []


def _array(path: Path, spec: TensorSpec) -> Array:
    if path.suffix.lower() != _ARRAY:
        raise BadInput(f"{path}: input {spec.name!r} is not a picture ({spec.kind}): give an array as {_ARRAY}")
    array = load_array(path)
    kinds = {"picture": "u", "index": "iu"}.get(spec.kind, "fiu")
    if array.dtype.kind not in kinds or (spec.is_picture and array.ndim != 3):
        wanted = f"uint8 (H, W, {spec.channels})" if spec.is_picture else f"{spec.kind} of shape {spec.shape}"
        raise BadInput(f"{path}: input {spec.name!r} expects {wanted}; got {array.dtype} {array.shape}")
    return array


def load_array(path: Path) -> Array:
    """The array of a ``.npy`` file.

    Raises:
        BadInput: the file cannot be read, is too large, or holds something else.
    """
    try:
        if path.stat().st_size > _MOST:
            raise BadInput(f"{path}: over {_MOST >> 30} GiB, too large for a network input")
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path}: not a readable array ({_ARRAY}): {error}") from error
    if not isinstance(array, np.ndarray):
        raise BadInput(f"{path}: expected one array ({_ARRAY}), got an archive (.npz)")
    return array
