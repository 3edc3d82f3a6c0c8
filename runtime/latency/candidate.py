"""What is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.worker.launch import Launch


@dataclass(frozen=True)
class Candidate:
    """What is measured: an artifact in a runner, on raw inputs in its own dtype and layout.

    ``sustained`` is whether it takes part where a plan asks for minutes without a pause.
    """

    key: str
    runner: str
    path: Path
    inputs: Mapping[str, Array]
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    plugin: Path | None = None
    launch: Launch | None = None
    sustained: bool = True
