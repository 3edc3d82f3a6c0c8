"""Digests of proven outputs and their conditions: the same file under the same conditions must reproduce its outputs.

Tolerances allow for kernels that round differently. With the same runtime version on the same processor as at the
export, no tolerance is needed: a different output means a different file.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from clearport.bundle.fields import Sha256, Text, Versions
from clearport.registry import installed_versions
from clearport.runtime.latency.host import cpu_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clearport.base import Array
    from clearport.protocols import Runner


class ReplayRecord(BaseModel):
    """The outputs of an artifact for a sample (``photo`` or ``probe``), and everything that they depend on.

    ``sha256`` is that of the raw tensors, one after another. ``processor`` is its name and a digest of its instruction
    sets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    golden: Text
    runner: Text
    versions: Versions
    processor: Text
    threads: Annotated[int, Field(ge=1)]
    sha256: Sha256

    @property
    def conditions(self) -> tuple[object, ...]:
        """All fields but the output's digest."""
        return self.golden, self.runner, dict(self.versions), self.processor, self.threads


def replay_of(outputs: Mapping[str, Array], golden: str, runner: Runner, threads: int) -> ReplayRecord | None:
    """The record of an artifact's outputs; None if the runtime has its own Python, whose versions are unknown."""
    if hasattr(runner, "interpreter"):
        return None
    parts = installed_versions((*runner.requires, "numpy", "clearport"))  # clearport sets each runtime's options
    versions = {name: version for name, version in parts.items() if version}
    digest = hashlib.sha256(b"".join(outputs[name].tobytes() for name in sorted(outputs))).hexdigest()
    return ReplayRecord(
        golden=golden, runner=runner.name, versions=versions, processor=processor(), threads=threads, sha256=digest
    )


def contradicts(fresh: ReplayRecord | None, kept: Iterable[ReplayRecord]) -> bool:
    """Whether an output differs from the recorded one for the same conditions."""
    same = [replay for replay in kept if fresh is not None and replay.conditions == fresh.conditions]
    return fresh is not None and bool(same) and fresh not in same


@cache
def processor() -> str:
    """The processor and a digest of its instruction sets, which determine a runtime's kernels."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    able = next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.version())
    return f"{cpu_name()} {hashlib.sha256(able.encode()).hexdigest()[:12]}"
