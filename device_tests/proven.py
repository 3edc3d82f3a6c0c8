"""Whether a file was proven, or is one that this machine's CPU computes wrong and says so."""

from __future__ import annotations

from clearport.base import Skipped
from clearport.bundle.manifest import ArtifactRecord
from clearport.runtime.parity import ParityReport
from clearport.runtime.usable import distorted, obstacle_of, runners_of


def proof_of(artifact: ArtifactRecord) -> ParityReport | None:
    """The most important report; None where the only runner cannot compute the file on this CPU."""
    found = [distorted(runner, artifact) for runner, _ in runners_of(artifact) if obstacle_of(runner) is None]
    if found and all(found):
        assert isinstance(artifact.parity, Skipped)
        assert artifact.parity.reason in found
        return None
    assert isinstance(artifact.parity, ParityReport), artifact.parity
    return artifact.parity
