"""Network inputs: a value for each input, made from a photo, from noise or from user files.

A *sample* holds pictures as 8-bit levels, uint8 (H, W, C), colors in the order RGB(A), and everything else as real
values in the shape of the network. A *feed* has all of them in the network's format: float32, NCHW, in their range
(an index: int64). Both are keyed by the inputs' names; the first entry is the input that gives the size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size, TensorSpec
from clearport.errors import BadInput
from clearport.graph.shapes import lead, shape_at

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.pictures.images import Image8

    Sample = Mapping[str, Array]
    Feed = dict[str, Array]

_GAINS = (1.0, 0.7, 1.3, 0.5, 1.6)
"""Brightness of further pictures of one sample: exposures of one scene."""
_COLORS = 3
_LUMA = np.array([0.299, 0.587, 0.114])
_SMOOTH = 8
_DEVIATIONS = 4.0
FLAT_DEVIATIONS = 10.0
"""Span of errors in standard deviations of a picture, if less than its range. Proofs of int8 require 35 dB of the
range and 15 dB of the standard deviation, those of fp16 60 and 40 dB: equal at a tenth of the range."""
CLIP = 5
"""Rank of stacked frames: (1, T, C, H, W), or (1, C, T, H, W)."""
_UNBOUNDED = (-2.0, 2.0)
"""The range of inputs without known bounds: most of a normal distribution."""


def sample_of(specs: Sequence[TensorSpec], photo: Image8, number: int = 0) -> Sample:
    """Inputs made from a photo (H, W, 3), each according to its kind, at the photo's size.

    Further pictures are the same scene, slightly shifted and brighter or darker, unless the photo has three channels
    per picture, concatenated; maps are smooth; states are zero; vectors, scalars and indices are drawn within their
    range. ``number`` is the photo's index in its set.
    """
    size, pictures = Size(*photo.shape[:2]), [spec for spec in specs if spec.is_picture]
    parts = np.split(photo, photo.shape[2] // 3, axis=2)
    photo = parts[0]
    generator = np.random.default_rng([17, number])
    found: dict[str, Array] = {}
    for spec in ordered(specs):
        shape = shape_at(spec, size)
        if spec.is_picture:
            index = pictures.index(spec)
            found[spec.name] = (
                _picture(spec, parts[index], shape, 0) if index < len(parts) else (_picture(spec, photo, shape, index))
            )
        else:
            found[spec.name] = _value(spec, photo, shape, generator)
    return found


def feed_of(specs: Sequence[TensorSpec], sample: Sample) -> Feed:
    """Convert a sample to the network's format.

    Raises:
        BadInput: an input is missing.
    """
    return {spec.name: _real(spec, sample) for spec in ordered(specs)}


def _real(spec: TensorSpec, sample: Sample) -> Array:
    if spec.name not in sample:
        raise BadInput(f"input {spec.name!r} is missing; given: {', '.join(sample) or 'nothing'}")
    value = sample[spec.name]
    if not spec.is_picture:
        return np.ascontiguousarray(value, np.int64 if spec.kind == "index" else np.float32)
    low, high = spec.span
    unit = stored_colors(value, spec.color).transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray(unit * np.float32((high - low) / 255.0) + np.float32(low))


def stored_colors(picture: Array, color: str) -> Array:
    """A picture (H, W, C) converted from RGB(A) to the channel order ``color``, or back."""
    if not color.startswith("BGR"):
        return picture
    return picture[..., [2, 1, 0, *range(3, picture.shape[-1])]]


def noise(specs: Sequence[TensorSpec], size: Size) -> Feed:
    """Uniform noise over the range of each input, also for states, so that their consumers are tested."""
    generator = np.random.default_rng(0)
    return {spec.name: _noise(spec, shape_at(spec, size), generator) for spec in ordered(specs)}


def photo_like(specs: Sequence[TensorSpec], size: Size) -> Feed:
    """Gradients, an edge and a texture: smooth almost everywhere, as photos are and noise is not."""
    y, x = np.mgrid[0 : size.height, 0 : size.width] / max(1, max(size.height, size.width) - 1)
    planes = [0.5 + 0.3 * np.sin(3 * x + c) * np.cos(2 * y) + 0.2 * (x + y > 0.7) for c in range(3)]
    unit = np.clip(np.stack(planes, axis=-1) + (0.05 * np.sin(40 * x) * np.sin(55 * y))[..., None], 0.0, 1.0)
    generator = np.random.default_rng(1)
    found: Feed = {}
    for spec in ordered(specs):
        shape = shape_at(spec, size)
        if spec.kind in {"picture", "map"} and len(shape) == 4:
            low, high = spec.value_range or _UNBOUNDED
            found[spec.name] = (
                low + _channels(unit, spec.color, shape).transpose(2, 0, 1)[None] * (high - low)
            ).astype(np.float32)
        else:
            found[spec.name] = _noise(spec, shape, generator)
    return found


def ordered(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Inputs in the order of feeds: the one that gives the size comes first."""
    first = lead(specs)
    return first, *(spec for spec in specs if spec is not first)


def area(feed: Mapping[str, Array]) -> int:
    """Pixels of the input that determines a feed's size; 1 if it has no height and width."""
    first = next(iter(feed.values()))
    return int(first.shape[2] * first.shape[3]) if first.ndim == 4 else 1


def spans(
    outputs: Sequence[TensorSpec], results: Sequence[Sequence[Array]], deviations: float = FLAT_DEVIATIONS
) -> list[float]:
    """Reference span of each output's errors. ``results`` are the outputs for some feeds.

    Pictures, also those of high dynamic range: their range, or ``deviations`` standard deviations of a picture's own
    values if that is less. Anything else: four standard deviations, which is about a photo's range, too.
    """
    found = []
    for index, spec in enumerate(outputs):
        values = [np.asarray(each[index], np.float64) for each in results]
        if spec.is_picture or spec.transfer:
            whole = spec.span[1] - spec.span[0]
            found.append(min(whole, deviations * _own_deviation(values) or whole))
            continue
        every = np.concatenate([each.reshape(-1) for each in values])
        spread = float(every.std()) or float(np.abs(every).max(initial=0.0)) or 1.0
        found.append(_DEVIATIONS * spread)
    return found


def _own_deviation(pictures: Sequence[Array]) -> float:
    """RMS standard deviation within a channel of pictures (1, C, H, W), without differences between channels or
    pictures.
    """
    return float(np.sqrt(np.mean([np.mean(np.var(each, axis=(-2, -1))) for each in pictures])))


def returned(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], feed: Mapping[str, Array], results: Mapping[str, Array]
) -> Feed:
    """The feed of a recurrent network's next step, with the states of the last step.

    States are matched by order; those without an output of the same shape are unchanged.
    """
    given = [results[spec.name] for spec in outputs if spec.kind == "state"]
    found = dict(feed)
    for spec, value in zip((s for s in inputs if s.kind == "state"), given, strict=False):
        if value.shape == feed[spec.name].shape:
            found[spec.name] = value
    return found


def _noise(spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    if spec.kind == "index":
        return _index(spec, shape, generator)
    if spec.kind == "bits":
        return np.asarray(generator.integers(0, 2, shape), np.float32)
    low, high = spec.value_range or _UNBOUNDED
    found: Array = generator.uniform(low, high, shape).astype(np.float32)
    return found


def _index(spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    low, high = spec.value_range or (0.0, 0.0)
    return np.asarray(generator.integers(int(low), int(high) + 1, shape), np.int64)


def _value(spec: TensorSpec, photo: Image8, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    if spec.kind == "state":
        return np.zeros(shape, np.float32)
    if spec.kind == "map" and len(shape) == 4:
        low, high = spec.value_range or _UNBOUNDED
        unit = _channels(_smoothed(photo) / 255.0, "", shape).transpose(2, 0, 1)[None]
        return (low + unit * (high - low)).astype(np.float32)
    if len(shape) == CLIP and spec.kind != "index":
        return _frames(spec, photo, shape)
    return _noise(spec, shape, generator)


def _frames(spec: TensorSpec, photo: Image8, shape: tuple[int, ...]) -> Array:
    """A photo that moves from frame to frame; the axis of three, or else the shorter one, has the colors."""
    low, high = spec.value_range or _UNBOUNDED
    first = shape[1] == _COLORS or (shape[2] != _COLORS and shape[1] <= shape[2])
    count, channels = (shape[2], shape[1]) if first else (shape[1], shape[2])
    moved = [np.roll(photo, 2 * number, axis=1) for number in range(count)]
    frames = [_channels(each / 255.0, "", (1, channels, *shape[3:])).transpose(2, 0, 1) for each in moved]
    unit = np.stack(frames, axis=1 if first else 0)[None]
    return np.asarray(low + unit * (high - low), np.float32)


def _smoothed(photo: Image8) -> Array:
    """Block means, upsampled: without object edges, like most flows and depths."""
    height, width = photo.shape[:2]
    rows, columns = (np.minimum(np.arange(n) // _SMOOTH, max(0, n // _SMOOTH - 1)) for n in (height, width))
    if height < _SMOOTH or width < _SMOOTH:
        return photo.astype(np.float64)
    cut = photo[: height // _SMOOTH * _SMOOTH, : width // _SMOOTH * _SMOOTH].astype(np.float64)
    blocks = cut.reshape(height // _SMOOTH, _SMOOTH, width // _SMOOTH, _SMOOTH, 3).mean((1, 3))
    return np.asarray(blocks[rows][:, columns])


def _picture(spec: TensorSpec, photo: Image8, shape: tuple[int, ...], number: int) -> Array:
    moved = np.roll(photo, 2 * number, axis=1) if number else photo
    gain = _GAINS[number % len(_GAINS)]
    bright = moved if gain == 1.0 else np.clip(np.rint(moved * gain), 0, 255)
    return np.asarray(np.rint(_channels(bright, spec.color, shape, 255.0)), np.uint8)


def _channels(photo: Array, color: str, shape: tuple[int, ...], full: float = 1.0) -> Array:
    """A photo (H, W, 3) as (h, w, C) of an NCHW ``shape``, colors in the order RGB(A); ``full`` is opaque."""
    count, height, width = shape[1:]
    sized = _resampled(photo, height, width)
    if count == 3:
        return sized
    gray = color in {"Y", "YA"} or count == 1
    bases = (
        [sized @ _LUMA] if gray else [sized[..., c] for c in (_RAW if count == 4 and "A" not in color else range(3))]
    )
    alpha = [full * np.add.outer(np.arange(height), np.arange(width)) / max(1, height + width - 2)]
    planes = [*bases, *(alpha if color.endswith("A") else [])]
    while len(planes) < count:  # more channels than colors: the same, shifted further
        planes.append(np.roll(planes[len(planes) % len(bases)], len(planes) // len(bases), axis=1))
    return np.stack(planes[:count], axis=-1)


_RAW = (0, 1, 1, 2)
"""Colors of a Bayer pattern's four places."""


def _resampled(photo: Array, height: int, width: int) -> Array:
    if photo.shape[:2] == (height, width):
        return photo
    rows, columns = ((np.arange(n) * have) // n for n, have in zip((height, width), photo.shape[:2], strict=True))
    return np.asarray(photo[rows][:, columns])
