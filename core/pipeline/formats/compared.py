"""The output of ``clearport compare``, as frozen pydantic models; ``compare.schema.json`` is their JSON schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearport.disk.json_files import schema_text

SCHEMA_ID = "https://clearport.invalid/compare-1.schema.json"

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OfPicture(_Part):
    """Difference of both outputs, in 8-bit levels; ``psnr_db`` is null if they are equal."""

    picture: str
    psnr_db: Finite | None
    max_levels: Count
    mean_levels: NotNegative
    equal_share: Annotated[float, Field(ge=0, le=1)]


class OfFile(_Part):
    """One file: its description, runtime, and latency in milliseconds, or the reason that it was not timed (else
    empty).

    ``word`` is as given; ``macs`` are multiply-accumulates, null if sizes are unknown.
    """

    word: str
    target: str
    bytes: Count
    macs: Count | None
    operators: Count
    runner: str
    median_ms: NotNegative | None
    why_untimed: str


class Layer(_Part):
    """A layer with the same name in both runtimes; times in milliseconds."""

    name: str
    a_ms: NotNegative
    b_ms: NotNegative


class Compared(_Part):
    """The outcome: ``clearport compare --json``.

    ``size`` is the input size (HEIGHTxWIDTH in pixels), ``psnr_db`` that of all pictures together (null: equal);
    ``ratio`` is B's time over A's with its 95 % interval (value, low, high), null unless both were timed.
    """

    schema_version: Literal[1] = 1
    size: str
    a: OfFile
    b: OfFile
    psnr_db: Finite | None
    pictures: tuple[OfPicture, ...]
    ratio: tuple[NotNegative, NotNegative, NotNegative] | None
    layers: tuple[Layer, ...]


def schema() -> str:
    """The JSON schema of ``clearport compare --json``; ``make schemas`` writes it again."""
    return schema_text(Compared, SCHEMA_ID, "Comparison of two files by clearport", "serialization")
