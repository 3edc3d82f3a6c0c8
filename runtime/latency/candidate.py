"""Candidates of a latency measurement."""

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
    """A candidate: an artifact in a runner, with raw inputs in its own dtype and layout.

    ``sustained``: whether it takes part in sustained runs.
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
