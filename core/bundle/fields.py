"""Field types of a manifest, with their validation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from clearport.base import Scale, Skipped, TensorSpec
from clearport.runtime.latency.record import LatencyReport
from clearport.runtime.latency.sound import sound
from clearport.runtime.parity import ParityReport

MOST_SIDE = 32768
"""Maximum side of an input or output picture, in pixels."""
MOST_VALUE = 65536.0
"""Maximum real value of a pixel: that of 16-bit pictures."""
MOST_FINE, MOST_COARSE = 65536.0, 16.0
"""Limits of how much finer or coarser than a pixel's the scale of an integer input or output may be: outputs calibrated
on dark pictures have fine scales, those that overshoot coarse ones."""
_AXES, MOST_AXES = 4, 8
MOST_CHANNELS, MOST_VALUES = 4096, 1 << 31
_CHANNELS = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "Y": 1, "YA": 2}
"""Channel counts of the known color formats."""
MOST_SCALE = 64
_FRACTION = re.compile(r"([1-9][0-9]{0,3})(?:/([1-9][0-9]{0,3}))?")
DTYPES = ("uint8", "int8", "float16", "float32")
INDEX_DTYPES = ("int32", "int64")


def _relative(path: str) -> str:
    parts = path.split("/")
    if any(c in path for c in "\\:") or not path.isprintable():
        raise ValueError("a path must not contain a backslash, colon or control character")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a path must be relative, use '/', and stay inside the bundle (no '..', no leading '/')")
    return path


def _sound(spec: TensorSpec) -> TensorSpec:
    dtypes = (*INDEX_DTYPES, *DTYPES) if spec.kind == "index" else DTYPES
    if spec.dtype not in dtypes:
        raise ValueError(f"dtype {spec.dtype!r} of tensor {spec.name!r}: expected one of {', '.join(dtypes)}")
    if spec.zero_point is not None and not _fits(spec.zero_point, spec.dtype):
        raise ValueError(f"zero point {spec.zero_point} of tensor {spec.name!r}: outside the range of {spec.dtype}")
    return _sound_picture(spec) if spec.is_picture else _sound_other(spec)


def _sound_picture(spec: TensorSpec) -> TensorSpec:
    if not _is_image(spec):
        raise ValueError(
            f"shape {spec.shape} of tensor {spec.name!r}: expected one {spec.color} picture ({spec.layout}) "
            f"with sides of 1 to {MOST_SIDE}, or names of dynamic axes"
        )
    low, high = spec.value_range or (0.0, 0.0)
    if not (-MOST_VALUE <= low < high <= MOST_VALUE):
        raise ValueError(
            f"value_range {spec.value_range} of tensor {spec.name!r}: expected two ascending numbers of at most "
            f"{MOST_VALUE:g}"
        )
    step = spec.pixel_step
    if spec.scale is not None and not step / MOST_FINE <= spec.scale <= step * MOST_COARSE:
        raise ValueError(f"scale {spec.scale} of tensor {spec.name!r}: expected about one pixel step, {step:g}")
    return spec


def _sound_other(spec: TensorSpec) -> TensorSpec:
    """Tensors other than pictures may have any axes and any values that files can hold."""
    if len(spec.shape) > MOST_AXES or not all(isinstance(n, str) or 1 <= n <= MOST_VALUES for n in spec.shape):
        raise ValueError(f"shape {spec.shape} of tensor {spec.name!r}: expected up to {MOST_AXES} axes of at least 1")
    if spec.value_range is not None and not -math.inf < spec.value_range[0] <= spec.value_range[1] < math.inf:
        raise ValueError(f"value_range {spec.value_range} of tensor {spec.name!r}: expected two ascending numbers")
    if spec.scale is not None and not 0 < spec.scale < math.inf:
        raise ValueError(f"scale {spec.scale} of tensor {spec.name!r}: expected a positive number")
    return spec


def _fits(number: int, dtype: str) -> bool:
    low, high = (-128, 127) if dtype == "int8" else (0, 255)
    return low <= number <= high


def _is_image(spec: TensorSpec) -> bool:
    if len(spec.shape) != _AXES:
        return False
    order = (0, 3, 1, 2) if spec.layout == "NHWC" else (0, 1, 2, 3)
    batch, channels, *sides = (spec.shape[axis] for axis in order)
    free = all(n if isinstance(n, str) else 1 <= n <= MOST_SIDE for n in sides)
    named = isinstance(channels, int) and 1 <= channels <= MOST_CHANNELS
    return (batch == 1 or isinstance(batch, str)) and named and channels == _CHANNELS.get(spec.color, channels) and free


def _scale(value: Any) -> Any:
    """An integer, or a fraction such as ``3/2`` with few digits; other text is never evaluated."""
    if isinstance(value, str):
        match = _FRACTION.fullmatch(value)
        if match is None:
            raise ValueError(f"expected an integer or a fraction such as 3/2, got {value[:40]!r}")
        value = Fraction(int(match[1]), int(match[2] or 1))
    if isinstance(value, float) or (isinstance(value, int | Fraction) and not 0 < value <= MOST_SCALE):
        raise ValueError(f"expected an integer or a fraction above 0, at most {MOST_SCALE}, got {value}")
    whole = isinstance(value, Fraction) and value.denominator == 1
    return int(value) if whole else value


def _kind(value: Any) -> str:
    skipped = isinstance(value, Skipped) or (isinstance(value, Mapping) and "reason" in value and "what" in value)
    return "skipped" if skipped else "report"


ScaleField = Annotated[Scale, BeforeValidator(_scale)]
"""Output size over input size: a number, or a fraction as text."""
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, le=1 << 62)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in lower-case hexadecimal")]
RelativePath = Annotated[
    str,
    Field(min_length=1, description="path inside the bundle: relative, with '/', without '..'"),
    AfterValidator(_relative),
]
Spec = Annotated[TensorSpec, AfterValidator(_sound)]
Specs = Annotated[tuple[Spec, ...], Field(min_length=1)]
Versions = Mapping[str, str]
SkippedCell = Annotated[Skipped, Tag("skipped")]
ParityCell = Annotated[Annotated[ParityReport, Tag("report")] | SkippedCell, Discriminator(_kind)]
Latency = Annotated[LatencyReport, AfterValidator(sound)]
LatencyCell = Annotated[Annotated[Latency, Tag("report")] | SkippedCell, Discriminator(_kind)]
