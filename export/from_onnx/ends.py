"""Inputs and outputs of ONNX files: dtype, shape, axis order, and names that every target accepts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from clearport.base import Layout
    from clearport.export.from_onnx.read import Given

    Shape = tuple[int | str, ...]

COLORS, MOST_CHANNELS = 4, 16
"""Maximum channels of a picture, and of a stack of pictures; a longer axis is height or width."""

_CLIP, _MOST_STACKED = 5, 256
"""Rank of a stack of frames, and its maximum total number of channels."""
_RESERVED = frozenset({"state"})
"""Names that are reserved in Core ML Tools."""
_READ = frozenset(onnx.TensorProto.DataType.Value(word) for word in ("FLOAT", "FLOAT16", "DOUBLE", "UINT8", "INT8"))
WHOLE = ("int32", "int64", "bool")
"""Dtypes of what counts or chooses; inputs of them become float32."""
_INDICES = frozenset(onnx.TensorProto.DataType.Value(word.upper()) for word in WHOLE)


@dataclass(frozen=True)
class End:
    """An input or output.

    Attributes:
        name: the plain name; ``given`` is the file's.
        shape: an int or a symbol (dynamic) per axis; NCHW for rank 4.
        layout: the axis order in the file.
        dtype: NumPy's name of the dtype in the file.
        frames: its shape in the file if that is (1, T, C, H, W); ``shape`` has all channels on one axis.
    """

    name: str
    given: str
    shape: Shape
    layout: Layout
    dtype: str
    frames: tuple[int, ...] = ()


def read_ends(values: Sequence[onnx.ValueInfoProto], given: Given, taken: Collection[str] = ()) -> tuple[End, ...]:
    names = set(taken)
    found = []
    for value in values:
        end = _end(value, given, names, "input" if not taken else "output")
        names.add(end.name)
        found.append(end)
    return tuple(found)


def _end(value: onnx.ValueInfoProto, given: Given, taken: Collection[str], role: str) -> End:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise BadInput(f"{given.path}: {value.name!r} has no shape: export it again with shapes of inputs and outputs")
    if kind.elem_type not in _READ | _INDICES:
        name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise BadInput(f"{given.path}: {value.name!r} holds {name}; expected float32, float16 or uint8 pictures")
    shape: Shape = tuple(
        side.dim_value if side.HasField("dim_value") else side.dim_param or f"{value.name}_{axis}"
        for axis, side in enumerate(kind.shape.dim)
    )
    if any(isinstance(n, int) and n < 1 for n in shape):
        raise BadInput(f"{given.path}: {value.name!r} has the empty shape {shape}")
    layout = layout_of(shape)
    ordered = (shape[0], shape[3], *shape[1:3]) if layout == "NHWC" else shape
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    word = value.name if any(c.isalpha() for c in value.name) else f"{role}_{value.name}"
    single = _single(ordered, value.name, given) or ((1,) if role == "input" else ())
    frames = _frames(single) if dtype == "float32" else ()
    if frames:
        single = (1, frames[1] * frames[2], *frames[3:])
    return End(plain_name(word, taken), value.name, single, layout, dtype, frames)


def _frames(shape: Shape) -> tuple[int, ...]:
    """A static shape of stacked frames, or None."""
    sizes = tuple(n for n in shape if isinstance(n, int))
    few = len(sizes) == len(shape) == _CLIP and sizes[0] == 1 and sizes[1] * sizes[2] <= _MOST_STACKED
    return sizes if few else ()


def layout_of(shape: Shape) -> Layout:
    """The axis order of a picture's shape: channels are the short static axis; NCHW if ambiguous."""
    if len(shape) != 4:
        return "NCHW"
    for most in (COLORS, MOST_CHANNELS):
        front, back = (isinstance(n, int) and n <= most for n in (shape[1], shape[3]))
        if front != back:
            return "NHWC" if back else "NCHW"
    return "NCHW"


def _single(shape: Shape, name: str, given: Given) -> Shape:
    """Fix a dynamic batch axis to 1."""
    if len(shape) < 2:
        return shape
    if isinstance(shape[0], str):
        return (1, *shape[1:])
    if shape[0] != 1 and len(shape) == 4:
        raise BadInput(
            f"{given.path}: {name!r} has batch size {shape[0]}; artifacts have batch size 1: export it with batch 1"
        )
    return shape


def plain_name(name: str, taken: Collection[str]) -> str:
    """A name that every target accepts: letters, digits and underscores, not ``taken`` or reserved."""
    word = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "tensor"
    word = word if word[0].isascii() and word[0].isalpha() and word not in _RESERVED else f"t_{word}"
    number, unique = 2, word
    while unique in taken:
        unique, number = f"{word}_{number}", number + 1
    return unique
