"""One artifact after the other: what cannot be run here, or fails, is told, and the others are judged still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from clearport import problems
from clearport.base import Skipped
from clearport.errors import BadInput
from clearport.pipeline.evaluation.gate import required_checks
from clearport.pipeline.run import usable_runner
from clearport.reports.junit import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Artifact
    from clearport.bundle.folder import Bundle
    from clearport.pipeline.evaluation.rows import EvalRequest

Found = TypeVar("Found")


class Attempts:
    """The checks of an evaluation so far, and the artifacts that it left out."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks, self.skipped = list(checks), list[Skipped]()

    def judged(self, artifact: Artifact, judge: Callable[[str], Found]) -> tuple[Found, float] | None:
        """What ``judge`` finds with the name of a runner, and the seconds it took; None where there is nothing."""
        began = time.monotonic()
        try:
            runner, _ = usable_runner(artifact)
        except BadInput as error:
            self.skipped.append(Skipped(artifact.key, str(error)))
            self.checks.append(Check("quality", None, str(error), group=artifact.key))
            return None
        try:
            return judge(runner), time.monotonic() - began
        except problems.UNEXPECTED as error:
            said = problems.told(error, f"judging {artifact.key}")
            self.checks.append(Check("quality", False, said, time.monotonic() - began, artifact.key))
            return None

    def close(self, bundle: Bundle, request: EvalRequest, judged: Sequence[str]) -> None:
        """Fail a gate for which nothing was judged, and check what is required."""
        if request.limits.asked and not any(check.passed is not None for check in self.checks):
            said = "a gate was asked for, and no artifact could be judged here"
            self.checks.append(Check("judged", False, said, group="gate"))
        self.checks += required_checks(bundle, request.require, judged)
