"""Length of the longest chain of dependent part runs before each output of a program, over which errors accumulate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.programs.interpreter import choices
from clearport.programs.program import Program, Repeat, Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.programs.program import Step


def longest_chains(program: Program) -> dict[str, int]:
    """Output -> runs of the longest chain in which each run depends on the one before it, with the default settings.

    Dependence is per tensor: a pasted square depends on the whole picture from which it was cropped.
    """
    given = [*(each.name for each in program.inputs), *program.tables, *program.settings]
    found = _after(program.steps, dict.fromkeys(given, 0), choices(program, {}))
    return {output.name: found[output.name] for output in program.outputs}


def _after(steps: Sequence[Step], known: Mapping[str, int], settings: Mapping[str, int]) -> dict[str, int]:
    """The longest chain behind every tensor after the steps."""
    found = dict(known)
    for step in steps:
        if isinstance(step, Repeat):
            rows = {name: found[source] for name, source in step.each.items()}
            for _ in range(step.count if isinstance(step.count, int) else settings[step.count]):
                made = _after(step.steps, {**found, **rows}, settings)
                found |= {name: made[name] for name in step.state}
        else:
            behind = max((found[name] for name in step.reads), default=0)
            found |= dict.fromkeys(step.writes, behind + int(isinstance(step, Run)))
    return found
