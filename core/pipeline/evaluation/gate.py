"""Checks against a gate that passes without reason: changed files, and unjudged artifacts."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from clearport.bundle.files import MANIFEST, ONNX_NETWORK, SUMS, TORCH_NETWORK, WEIGHTS
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.reports.junit import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.bundle.files import Mismatch
    from clearport.bundle.manifest import ArtifactRecord
    from clearport.pipeline.evaluation.rows import Verdict

_BASELINE = {MANIFEST, SUMS, WEIGHTS, ONNX_NETWORK, TORCH_NETWORK}
"""Files that every figure depends on: without the baseline network, no loss is meaningful."""


def verdict_of(checks: Sequence[Check]) -> Verdict | None:
    """The verdict of one artifact's gates: *failed* takes precedence over *cannot tell*."""
    if not any(check.passed is not None for check in checks):
        return None
    failed = [check for check in checks if check.passed is False]
    if not failed:
        return "passed"
    return "cannot tell" if all(check.undecided for check in failed) else "failed"


def checksum_checks(wrong: Sequence[Mismatch]) -> list[Check]:
    """A failed check for every changed file."""
    return [Check("checksum", False, str(mismatch), group=mismatch.path) for mismatch in wrong]


def sound(records: Sequence[ArtifactRecord], wrong: Sequence[Mismatch]) -> list[ArtifactRecord]:
    """The artifacts that can be judged: none if the baseline's files were changed."""
    changed = {mismatch.path for mismatch in wrong}
    if changed & _BASELINE:
        return []
    return [record for record in records if not any(record.holds(path) for path in changed)]


def check_names(bundle: Bundle, required: Sequence[str]) -> None:
    """Refuse names of impossible artifacts.

    Raises:
        BadInput: a name is neither an artifact of the bundle nor one that its export left out.
    """
    known = [*(artifact.key for artifact in bundle.artifacts), *(skipped.what for skipped in bundle.manifest.skipped)]
    for name in required:
        if not any(_covers(name, key) or _covers(key, name) for key in known):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadInput(f"--require {name}: expected TARGET/PRECISION of {', '.join(known)}{hint}")


def required_checks(bundle: Bundle, required: Sequence[str], judged: Sequence[str]) -> list[Check]:
    """A check for every required artifact: whether it, or a variant of it, was judged."""
    return [_required(bundle, name, judged) for name in required]


def _required(bundle: Bundle, name: str, judged: Sequence[str]) -> Check:
    wanted = [artifact.key for artifact in bundle.artifacts if _covers(name, artifact.key)]
    absent = [key for key in wanted if key not in judged]
    if wanted and not absent:
        return Check("required", True, f"judged: {', '.join(wanted)}", group=name)
    reasons = [skipped.reason for skipped in bundle.manifest.skipped if _covers(skipped.what, name)]
    why = f"not judged: {', '.join(absent)}" if wanted else f"the bundle has no such file{_because(reasons)}"
    return Check("required", False, f"it is required, and {why}", group=name)


def _because(reasons: Sequence[str]) -> str:
    return f" ({'; '.join(reasons)})" if reasons else ""


def _covers(name: str, key: str) -> bool:
    """Whether ``name`` is ``key``, or the start of it: ``tflite`` covers ``tflite/int8``."""
    return key == name or key.startswith(f"{name}/")
