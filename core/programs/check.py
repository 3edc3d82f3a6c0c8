"""Validation of programs before they run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from clearport.programs.program import (
    MOST_DEPTH,
    MOST_ROUNDS,
    MOST_STEPS,
    MOST_VALUES,
    Combine,
    Program,
    Repeat,
    Resize,
    Run,
    Top,
)

if TYPE_CHECKING:
    from clearport.programs.program import Step

    Ends = tuple[Sequence[str], Sequence[str]]
    """The names of a part's inputs and outputs."""

_MOST_RUNS = 4096
"""Maximum part runs over all iterations."""
_MOST_WORK = 100_000
"""Maximum steps over all iterations."""


def contradictions(program: Program, parts: Mapping[str, Ends]) -> Iterator[str]:
    """Inconsistencies of a program with itself and with its parts, as ``place: problem``."""
    yield from _own(program)
    checker = _Checker(program, parts)
    known = checker.steps(program.steps, {*program.tables, *(each.name for each in program.inputs)}, "steps", 1)
    yield from checker.problems
    for output in program.outputs:
        if output.name not in known:
            yield f"outputs: no step gives {output.name!r}"
    if checker.count > MOST_STEPS:
        yield f"steps: {checker.count} of them, at most {MOST_STEPS}"
    if checker.runs > _MOST_RUNS:
        yield f"steps: up to {checker.runs} runs of parts, at most {_MOST_RUNS}"
    if checker.work > _MOST_WORK:
        yield f"steps: up to {checker.work} are taken, all rounds counted, at most {_MOST_WORK}"


def _own(program: Program) -> Iterator[str]:
    """Errors outside the steps."""
    given = [*(each.name for each in program.inputs), *program.tables, *program.settings]
    yield from _doubled("inputs, tables and settings", given)
    yield from _doubled("outputs", [each.name for each in program.outputs])
    for each in program.inputs:
        if math.prod(axis for axis in each.shape if isinstance(axis, int)) > MOST_VALUES:
            yield f"inputs: {each.name!r} has the shape {list(each.shape)}: more than {MOST_VALUES} numbers"
        if each.default is not None and (each.kind != "values" or any(isinstance(axis, str) for axis in each.shape)):
            yield f"inputs: {each.name!r} has a default, which only values of a fixed shape have"
    ranges = [(end.name, end.low, end.high) for end in program.inputs if end.kind == "picture"]
    ranges += [(end.name, end.low, end.high) for end in program.outputs if end.kind == "picture"]
    for name, low, high in ranges:
        if not low < high:
            yield f"{name!r}: expected low < high of a picture, got {low:g} and {high:g}"
    for name, table in program.tables.items():
        if math.prod(table.shape) != len(table.values):
            yield f"tables.{name}: {len(table.values)} values for the shape {list(table.shape)}"
    for name, setting in program.settings.items():
        if not setting.low <= setting.default <= setting.high:
            yield f"settings.{name}: expected low <= default <= high"


def _doubled(where: str, names: Sequence[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}: {name!r} is there twice"


class _Checker:
    """Walks through steps and collects errors."""

    def __init__(self, program: Program, parts: Mapping[str, Ends]) -> None:
        self._program, self._parts = program, parts
        self.problems: list[str] = []
        self.count = self.runs = self.work = 0

    def steps(self, steps: Sequence[Step], known: set[str], where: str, times: int, depth: int = 0) -> set[str]:
        """The names that are defined after the steps."""
        known = set(known)
        for number, step in enumerate(steps):
            self.count += 1
            self.work += times
            place = f"{where}.{number} ({step.do})"
            for name in step.reads:
                if name not in known and not (isinstance(step, Combine) and name in self._program.settings):
                    self.problems.append(f"{place}: nothing before it is called {name!r}")
            if isinstance(step, Repeat):
                self._loop(step, known, place, times, depth)
            else:
                if isinstance(step, Run):
                    self.runs += times
                    self._part(step, place)
                self._fields(step, place)
                for name in step.writes:
                    if name in self._program.settings or name in self._program.tables:
                        self.problems.append(f"{place}: {name!r} is a constant, which cannot be changed")
                known.update(step.writes)
        return known

    def _loop(self, loop: Repeat, known: set[str], place: str, times: int, depth: int) -> None:
        most = self._most(loop.count, place)
        if depth >= MOST_DEPTH:
            self.problems.append(f"{place}: loops are nested deeper than {MOST_DEPTH}")
            return
        for name, source in loop.each.items():
            table = self._program.tables.get(source)
            if table is not None and table.shape[0] < most:
                self.problems.append(f"{place}: table {source!r} has {table.shape[0]} rows for {most} rounds")
            if name in known or name in self._program.settings:
                self.problems.append(f"{place}: {name!r} is the name of something before the loop")
        self.steps(loop.steps, {*known, *loop.each}, f"{place}.steps", times * most, depth + 1)
        written = {name for step in loop.steps for name in step.writes}
        for name in loop.state:
            if name in known and name not in written:
                self.problems.append(f"{place}: no step of it replaces its state {name!r}")
        for name in sorted((written & known) - {*loop.state}):
            self.problems.append(
                f"{place}: {name!r} is from before the loop; to be replaced, it must be among its state"
            )

    def _most(self, count: int | str, place: str) -> int:
        if isinstance(count, int):
            return count
        if count not in self._program.settings:
            self.problems.append(f"{place}: there is no setting {count!r}")
            return MOST_ROUNDS
        if self._program.settings[count].low < 0:
            self.problems.append(f"{place}: the setting {count!r} may be below 0, which no count is")
        return max(0, self._program.settings[count].high)

    def _part(self, step: Run, place: str) -> None:
        if step.part not in self._parts:
            known = ", ".join(self._parts) or "none"
            self.problems.append(f"{place}: there is no part {step.part!r} (available: {known})")
            return
        inputs, outputs = self._parts[step.part]
        if set(step.inputs) != set(inputs):
            self.problems.append(f"{place}: {step.part} takes {', '.join(inputs)}; given: {', '.join(step.inputs)}")
        for name in sorted(set(step.outputs) - set(outputs)):
            self.problems.append(f"{place}: {step.part} gives {', '.join(outputs)}, and not {name!r}")

    def _fields(self, step: Step, place: str) -> None:
        if isinstance(step, Top):
            self._most(step.count, place)
        if isinstance(step, Resize) and (step.like is None) == (step.size is None):
            self.problems.append(f"{place}: expected either 'like' or 'size'")
        if isinstance(step, Combine) and step.low is not None and step.high is not None and step.low > step.high:
            self.problems.append(f"{place}: low {step.low:g} is above high {step.high:g}")
