"""The kinds of field that a manifest has, with what is checked of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from clearport.base import Skipped, TensorSpec
from clearport.runtime.latency_record import LatencyReport
from clearport.runtime.parity import ParityReport

DTYPES = ("uint8", "int8", "float16", "float32")


def _relative(path: str) -> str:
    parts = path.split("/")
    if any(c in path for c in "\\:") or not path.isprintable():
        raise ValueError("a path holds no backslash, colon or control character")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ValueError("a path is relative, with '/', and stays inside the bundle (no '..', no leading '/')")
    return path


def _sound(spec: TensorSpec) -> TensorSpec:
    if spec.dtype not in DTYPES:
        raise ValueError(f"dtype {spec.dtype!r} of tensor {spec.name!r}: expected one of {', '.join(DTYPES)}")
    if not spec.shape or any(n < 1 if isinstance(n, int) else not n for n in spec.shape):
        raise ValueError(f"shape {spec.shape} of tensor {spec.name!r}: expected positive sizes or names of free axes")
    low, high = spec.value_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"value_range {spec.value_range} of tensor {spec.name!r}: expected two finite ascending numbers"
        )
    if spec.scale is not None and not (math.isfinite(spec.scale) and spec.scale > 0):
        raise ValueError(f"scale {spec.scale} of tensor {spec.name!r}: expected a finite positive number")
    return spec


def _kind(value: Any) -> str:
    skipped = isinstance(value, Skipped) or (isinstance(value, Mapping) and "reason" in value and "what" in value)
    return "skipped" if skipped else "report"


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
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
LatencyCell = Annotated[Annotated[LatencyReport, Tag("report")] | SkippedCell, Discriminator(_kind)]
