"""Runs a program (``program.py``) that was checked (``check.py``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import BadInput
from clearport.programs import squares
from clearport.programs.program import (
    MOST_VALUES,
    Channels,
    Combine,
    Concat,
    Crop,
    Discs,
    Paste,
    Program,
    Repeat,
    Resize,
    Run,
    Top,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Float32
    from clearport.programs.program import Input, Step

Values = dict[str, "Float32"]

Parts = Callable[[str, Mapping[str, "Float32"]], Mapping[str, "Float32"]]
"""Runs the named part on its inputs and returns its outputs."""

_MOST_HELD = 1 << 28
"""Maximum elements of all tensors in scope of a step."""


def execute(
    program: Program,
    parts: Parts,
    inputs: Mapping[str, Float32],
    settings: Mapping[str, int] | None = None,
    on_round: Callable[[int, int], None] = lambda done, total: None,
) -> Values:
    """The outputs of a program, by name.

    Args:
        program: one without ``contradictions``.
        parts: runs a part.
        inputs: a tensor for each input without a default.
        settings: values that differ from the defaults.
        on_round: called for each iteration of outermost loops.

    Raises:
        BadInput: an input is missing or has another shape, a setting is out of its bounds, or the shapes of a step's
            tensors do not match.
    """
    chosen = choices(program, settings or {})
    inputs = {**_defaults(program.inputs), **inputs}
    _check_inputs(program.inputs, inputs)
    numbers = {name: np.array(value, np.float32) for name, value in chosen.items()}
    tables = {name: np.array(t.values, np.float32).reshape(t.shape) for name, t in program.tables.items()}
    given = {each.name: np.ascontiguousarray(inputs[each.name], np.float32) for each in program.inputs}
    with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the outputs for values that are not finite
        found = _Interpreter(parts, chosen, on_round).steps(program.steps, {**numbers, **tables, **given}, "steps")
    return {output.name: found[output.name] for output in program.outputs}


def choices(program: Program, settings: Mapping[str, int]) -> dict[str, int]:
    """Every setting, chosen or by default.

    Raises:
        BadInput: there is no such setting, or a number is out of its bounds.
    """
    for name, value in settings.items():
        if name not in program.settings:
            known = ", ".join(program.settings) or "none"
            raise BadInput(f"there is no setting {name!r} (available: {known})")
        setting = program.settings[name]
        if not setting.low <= value <= setting.high:
            raise BadInput(f"{name}={value}: expected {setting.low} to {setting.high}: {setting.about}")
    return {name: settings.get(name, setting.default) for name, setting in program.settings.items()}


def _defaults(wanted: Sequence[Input]) -> Values:
    """Optional inputs."""
    return {
        each.name: np.full([int(axis) for axis in each.shape], each.default, np.float32)
        for each in wanted
        if each.default is not None
    }


def _check_inputs(wanted: Sequence[Input], inputs: Mapping[str, Float32]) -> None:
    sizes: dict[str, int] = {}
    for each in wanted:
        if each.name not in inputs:
            raise BadInput(f"input {each.name!r} ({each.kind}) was not given")
        shape = inputs[each.name].shape
        fits = len(shape) == len(each.shape) and all(
            (sizes.setdefault(axis, have) if isinstance(axis, str) else axis) == have
            for axis, have in zip(each.shape, shape, strict=True)
        )
        if not fits or math.prod(shape) > MOST_VALUES:
            told = "x".join(map(str, each.shape))
            raise BadInput(f"input {each.name!r} has the shape {told}; given: {'x'.join(map(str, shape))}")
        if not np.isfinite(inputs[each.name]).all():
            raise BadInput(f"input {each.name!r} has values that are not finite")


class _Interpreter:
    def __init__(self, parts: Parts, settings: Mapping[str, int], on_round: Callable[[int, int], None]) -> None:
        self._parts, self._settings, self._on_round = parts, settings, on_round

    def steps(self, steps: Sequence[Step], known: Values, where: str) -> Values:
        """All values after the steps."""
        found = dict(known)
        for number, step in enumerate(steps):
            place = f"{where}.{number} ({step.do})"
            try:
                made = self._loop(step, found, place) if isinstance(step, Repeat) else self._step(step, found)
            except (ValueError, IndexError) as error:  # NumPy's error for mismatched shapes
                raise BadInput(f"the program's {place}: {error}") from error
            found |= made
            if (held := sum(value.size for value in found.values())) > _MOST_HELD:
                raise BadInput(f"the program's {place}: its tensors have {held:,} numbers, at most {_MOST_HELD:,}")
        return found

    def _loop(self, loop: Repeat, known: Values, place: str) -> Values:
        count = self._number(loop.count)
        state = {name: known[name] for name in loop.state}
        rows_of = {name: known[name].shape[0] if known[name].ndim else 0 for name in loop.each.values()}
        short = [name for name, rows in rows_of.items() if rows < count]
        if short:
            raise ValueError(f"{short[0]!r} has {rows_of[short[0]]} rows for {count} rounds")
        for number in range(count):
            rows = {name: known[source][number] for name, source in loop.each.items()}
            found = self.steps(loop.steps, {**known, **state, **rows}, f"{place}.steps")
            fresh = {name: found[name] for name in loop.state}
            for name, value in fresh.items():
                if value.shape != state[name].shape:
                    raise ValueError(f"its state {name!r} changed from {state[name].shape} to {value.shape}")
            state = fresh
            if place.count("steps") == 1:
                self._on_round(number + 1, count)
        return state

    def _number(self, count: int | str) -> int:
        return count if isinstance(count, int) else self._settings[count]

    def _step(self, step: Step, known: Values) -> Values:
        if isinstance(step, Repeat):
            raise TypeError("a loop is not a single step")
        if isinstance(step, Run):
            given = self._parts(step.part, {name: known[value] for name, value in step.inputs.items()})
            return {name: np.asarray(given[output], np.float32) for output, name in step.outputs.items()}
        if isinstance(step, Top):
            return {step.out: squares.top(_picture(known[step.value]), step.side, self._number(step.count))}
        return {step.out: _RULES[type(step)](step, known)}


def _crop(step: Crop, known: Values) -> Float32:
    return squares.crop(_picture(known[step.value]), known[step.place], step.side)


def _paste(step: Paste, known: Values) -> Float32:
    return squares.paste(_picture(known[step.onto]), _picture(known[step.value]), known[step.place], step.fade)


def _discs(step: Discs, known: Values) -> Float32:
    return squares.discs(known[step.points], _sides(known[step.like]), _sides(known[step.at]), step.radius)


def _resize(step: Resize, known: Values) -> Float32:
    value, size = _picture(known[step.value]), step.size or _sides(known[step.like or ""])
    channels, height, width = value.shape[1:]
    for numbers in (channels * max(height, size[0]) * max(width, size[1]), height * size[0], width * size[1]):
        _check_size(numbers)  # including intermediates of resizing: both weight tables
    return squares.resized(value, size)


def _concat(step: Concat, known: Values) -> Float32:
    _check_size(sum(known[name].size for name in step.values))
    return np.concatenate([known[name] for name in step.values], axis=1)


def _check_size(numbers: int) -> None:
    if numbers > MOST_VALUES:
        raise ValueError(f"a tensor of {numbers:,} numbers, at most {MOST_VALUES:,}")


def _combined(step: Combine, known: Values) -> Float32:
    total: Float32 | np.float32 = np.float32(step.plus)
    for term in step.terms:
        value, times = known[term.value], known[term.times] if isinstance(term.times, str) else np.float32(term.times)
        if np.size(times) > 1 and np.shape(times) != value.shape:
            raise ValueError(f"{term.value!r} {value.shape} times {term.times!r} {np.shape(times)}")
        if np.ndim(total) and np.shape(total) != value.shape:
            raise ValueError(f"a sum of {np.shape(total)} and {term.value!r} {value.shape}")
        total = total + value * (times if np.size(times) > 1 else np.float32(np.reshape(times, ())))
    clipped = total if step.low is None and step.high is None else np.clip(total, step.low, step.high)
    return np.asarray(clipped, np.float32)


def _channels(step: Channels, known: Values) -> Float32:
    value = known[step.value]
    if value.ndim < 2 or value.shape[0] != 1:
        raise ValueError(f"expected channels (1, C, ...), got {value.shape}")
    if step.first + step.count > value.shape[1]:
        raise ValueError(f"channels {step.first} to {step.first + step.count - 1} of {value.shape[1]}")
    return value[:, step.first : step.first + step.count]


def _picture(value: Float32) -> Float32:
    if value.ndim != 4 or value.shape[0] != 1:
        raise ValueError(f"expected a picture (1, C, H, W), got {value.shape}")
    return value


def _sides(value: Float32) -> tuple[int, int]:
    height, width = _picture(value).shape[2:]
    return height, width


_RULES: Mapping[type, Callable[[Any, Values], Float32]] = {
    Channels: _channels,
    Combine: _combined,
    Concat: _concat,
    Crop: _crop,
    Discs: _discs,
    Paste: _paste,
    Resize: _resize,
}
