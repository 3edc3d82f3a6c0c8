"""Summary of proofs by steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearport.runtime.limits import BY_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.bundle.manifest import ArtifactRecord


def steps_told(artifacts: Sequence[ArtifactRecord]) -> Iterator[tuple[str, str]]:
    """Lines on proofs by steps, and their style: how many files have one, where it was decisive, and exceptions."""
    proven = {a.key: a.steps for a in artifacts if a.steps}
    fine = [each for found in proven.values() for each in found if each.passed]
    if fine:
        most, least = max(each.levels for each in fine), min(each.equal_share for each in fine)
        whole = sum(all(each.passed for each in found) for found in proven.values())
        share = (
            f"at least {math.floor(least * 1e5) / 1e3:g}% of the values equal, others {most} apart" if most else "equal"
        )
        yield f"int8 steps, each alone: all of {whole} files are as the QDQ model's ({share})", "dim"
    for artifact in artifacts:
        if any(report.tolerance == BY_STEPS for report in artifact.parities):
            yield f"{artifact.key}: its end is not within the limits of ends: its steps and PyTorch judge it", "dim"
        for each in (found for found in artifact.steps if not found.passed):
            yield f"{artifact.key} ({each.method}, {each.sample}): {'; '.join(each.failures)}", "yellow"
