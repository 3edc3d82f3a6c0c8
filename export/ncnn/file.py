"""The two files of an ncnn model: ``.param``, one line of text per layer, and ``.bin``, their weights in that order.

The format is that of ncnn's ``ParamDict`` and ``ModelBin``: a number is at most 15 characters long, an array has the
key ``-23300 - key``, weights begin with a tag that says how they are stored, and biases have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from clearport.base import Array

Setting = int | float | Sequence[int] | Sequence[float]

_MAGIC = 7767517
_ARRAY = -23300
_TAG_FLOAT32 = np.uint32(0).tobytes()
_TAG_FLOAT16 = np.uint32(0x01306B47).tobytes()
_LONGEST_NAME = 255


@dataclass(frozen=True)
class _Layer:
    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    settings: Mapping[int, Setting]


class NcnnFile:
    """A model under construction. Each blob is written by one layer; any number of layers may read it."""

    def __init__(self) -> None:
        self._layers: list[_Layer] = []
        self._weights: list[bytes] = []

    def layer(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        output: str,
        settings: Mapping[int, Setting] | None = None,
        weights: Sequence[bytes] = (),
    ) -> str:
        """Append a layer; the name of the blob that it writes."""
        self._layers.append(_Layer(kind, name, tuple(inputs), output, settings or {}))
        self._weights += weights
        return output

    def param(self, results: Sequence[str]) -> str:
        """The text of the ``.param`` file of a model with the output blobs ``results``."""
        lines, blobs = [], 0
        for layer, outputs in _split(self._layers, results):
            settings = "".join(f" {_setting(key, value)}" for key, value in sorted(layer.settings.items()))
            ends = [layer.name, str(len(layer.inputs)), str(len(outputs)), *layer.inputs, *outputs]
            lines.append(f"{layer.kind:<24} {' '.join(map(_checked, ends))}{settings}\n")
            blobs += len(outputs)
        return f"{_MAGIC}\n{len(lines)} {blobs}\n{''.join(lines)}"

    def weights(self) -> bytes:
        """The content of the ``.bin`` file."""
        return b"".join(self._weights)


def tagged(array: Array, half: bool) -> bytes:
    """Weights of a layer as float32, or as float16 that ncnn widens when it loads them."""
    if half:
        data = array.astype("<f2").tobytes()
        return _TAG_FLOAT16 + data + bytes(-len(data) % 4)
    return _TAG_FLOAT32 + plain(array)


def plain(array: Array) -> bytes:
    """Biases, slopes and the like: float32 without a tag."""
    return array.astype("<f4").tobytes()


def _split(layers: Sequence[_Layer], results: Sequence[str]) -> list[tuple[_Layer, list[str]]]:
    """The layers with their outputs, and a Split after each output with several consumers: ncnn blobs allow only
    one.
    """
    readers = Counter(name for layer in layers for name in layer.inputs) + Counter(results)
    left = {name: [f"{name}_{i}" for i in range(count)] for name, count in readers.items() if count > 1}
    for result in set(results) & set(left):
        left[result][-1] = result
    written = []
    for layer in layers:
        inputs = tuple(left[name].pop(0) if name in left else name for name in layer.inputs)
        if layer.output not in left:
            written.append((replace(layer, inputs=inputs), [layer.output]))
            continue
        whole = f"{layer.output}_all" if layer.output in results else layer.output
        written.append((replace(layer, inputs=inputs), [whole]))
        split = _Layer("Split", f"{layer.name}_split", (whole,), "", {})
        written.append((split, list(left[layer.output])))
    return written


def _setting(key: int, value: Setting) -> str:
    if isinstance(value, Sequence):
        return f"{_ARRAY - key}={len(value)}," + ",".join(map(_number, value))
    return f"{key}={_number(value)}"


def _number(value: float) -> str:
    """An integer, or the shortest decimal string that identifies this float32: at most 15 characters."""
    if isinstance(value, int):
        return str(value)
    return np.format_float_scientific(np.float32(value), unique=True, trim="0", exp_digits=2)


def _checked(name: str) -> str:
    if not name or len(name) > _LONGEST_NAME or any(c.isspace() for c in name):
        raise ValueError(f"{name!r} cannot be a name in an ncnn file: 1 to {_LONGEST_NAME} characters without spaces")
    return name
