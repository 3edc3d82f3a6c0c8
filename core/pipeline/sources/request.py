"""The request of an export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from clearport.pipeline.sources.contract import Contract

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import IODType, Prefer, Size


@dataclass(frozen=True)
class ExportRequest:
    """The request of an export; see ``clearport export --help``.

    ``network`` is a word (``sources/find.py`` has its forms) or a ``torch.nn.Module``. Empty ``targets`` and
    ``precisions`` mean all. ``requantize`` takes what a file rounds to 8 bits back to float. ``contract`` and
    ``told`` are what a file and options say of a network of the user's. ``size`` None means any size, ``"own"`` the
    network's own or else the usual one. ``cache``: whether int8 forms of earlier exports are reused.
    ``prefer``: what layers that stay in float within int8 files may cost in time. ``golden`` is an example (``.npz``,
    as of a calibration) to prove on in place of the golden photo, and ``calibrated_on`` says what the calibration's
    examples are, where a program made both.
    """

    network: str | Any
    out: Path
    scale: int | None = None
    size: Size | Literal["own"] | None = "own"
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    weights: Path | None = None
    knobs: tuple[str, ...] = ()
    calibration: Path | None = None
    contract: Path | None = None
    requantize: bool = False
    told: Contract = field(default_factory=Contract)
    io: IODType = "uint8"
    threads: int = 1
    measure: bool = True
    force: bool = False
    cache: bool = True
    prefer: Prefer = "balanced"
    golden: Path | None = None
    calibrated_on: str = ""
