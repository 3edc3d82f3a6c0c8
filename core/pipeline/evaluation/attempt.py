"""Evaluation of artifacts one by one: those that fail or cannot run here are reported, the others still judged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from clearport import problems
from clearport.base import Skipped
from clearport.errors import BadInput
from clearport.pipeline.evaluation.gate import required_checks
from clearport.pipeline.run import usable_runner
from clearport.reports.junit import Check
from clearport.runtime.usable import runners_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clearport.base import Artifact
    from clearport.bundle.folder import Bundle
    from clearport.pipeline.evaluation.rows import EvalRequest

Found = TypeVar("Found")


class Attempts:
    """The checks of an evaluation so far, and the skipped artifacts.

    A runtime that takes minutes per picture evaluates only targets that the user names.
    """

    def __init__(self, checks: Sequence[Check], request: EvalRequest) -> None:
        self.checks, self.skipped = list(checks), list[Skipped]()
        self._named = {*request.targets, *(key.split("/")[0] for key in request.require)}

    def judged(self, artifact: Artifact, judge: Callable[[str], Found]) -> tuple[Found, float] | None:
        """The result of ``judge`` for a runner, and its duration in seconds; None without a result."""
        began = time.monotonic()
        try:
            runner, _ = usable_runner(artifact, patient=artifact.target in self._named)
        except BadInput as error:
            said = f"{error}{self._by_name(artifact)}"
            self.skipped.append(Skipped(artifact.key, said))
            self.checks.append(Check("quality", None, said, group=artifact.key))
            return None
        try:
            return judge(runner), time.monotonic() - began
        except problems.UNEXPECTED as error:
            said = problems.told(error, f"judging {artifact.key}")
            self.checks.append(Check("quality", False, said, time.monotonic() - began, artifact.key))
            return None

    def _by_name(self, artifact: Artifact) -> str:
        """The option that includes a slow runtime; empty if there is none."""
        if artifact.target in self._named or all(obstacle for _, obstacle in runners_of(artifact)):
            return ""
        return f"; --target {artifact.target} evaluates it nevertheless"

    def close(self, bundle: Bundle, request: EvalRequest, judged: Sequence[str]) -> None:
        """Fail a gate for which nothing was judged, and check what is required."""
        if request.limits.asked and not any(check.passed is not None for check in self.checks):
            said = "there are gates, but no artifact could be judged here"
            self.checks.append(Check("judged", False, said, group="gate"))
        self.checks += required_checks(bundle, request.require, judged)
