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

    ``network`` is a name (forms: ``sources/find.py``) or a ``torch.nn.Module``. Empty ``targets`` and ``precisions``
    mean all. ``requantize`` converts a quantized file back to float. ``contract`` and ``told`` are the contract file
    and the contract from options of the user's network. ``size`` None means dynamic, ``"own"`` the network's own or
    else the usual one. ``cache``: whether int8 forms of earlier exports are reused. ``prefer``: the acceptable time of
    float layers in int8 files. ``golden`` is an example (``.npz``, as for calibration) that replaces the golden photo,
    and ``calibrated_on`` describes the calibration's examples, if a program made both.
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
