"""A program: a declarative description of how the networks of a system (its *parts*) are run.

It is a list of steps on named tensors: run a part, repeat steps with a table of constants, simple arithmetic, crop and
paste. There are no conditions and no unbounded loops, so every program terminates, and an interpreter in another
language needs about two hundred lines (``interpreter.py`` is clearport's).

All tensors are float32 in the axis order of the networks (pictures: (1, C, H, W)). A name is defined before it is used;
names defined in a loop end with each iteration, except its ``state``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_STEPS, MOST_ROUNDS, MOST_DEPTH = 100, 1000, 3
MOST_NUMBERS = 1 << 20
MOST_VALUES = 1 << 27
"""Maximum elements of one tensor: half a gigabyte in float32."""
MOST_SIDE = 8192

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Side = Annotated[int, Field(ge=1, le=MOST_SIDE)]
Rounds = Annotated[int, Field(ge=0, le=MOST_ROUNDS)]
Choice = Annotated[int, Field(ge=-MOST_ROUNDS, le=MOST_ROUNDS)]
Axis = Annotated[int, Field(ge=1, le=MOST_NUMBERS)] | Name


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Input(_Record):
    """An input of the program.

    Attributes:
        kind: ``picture``: (1, C, H, W) in ``low``..``high``. ``noise``: standard normal, drawn if not given.
            ``points``: (N, 3), each x and y in pixels of the first picture, and 1 (foreground) or -1 (background).
            ``values``: anything else.
        shape: a named axis may have any size; equal names are equal sizes.
        default: value of all elements if it is not given; only for ``values`` with a static shape.
    """

    name: Name
    kind: Literal["picture", "noise", "points", "values"]
    shape: Annotated[tuple[Axis, ...], Field(max_length=6)]
    low: Number = 0.0
    high: Number = 1.0
    default: Number | None = None
    about: str = ""


class Output(_Record):
    """An output of the program: a ``picture`` (1, 1, 3 or 4 channels, H, W) in ``low``..``high``, or ``values``."""

    name: Name
    kind: Literal["picture", "values"]
    low: Number = 0.0
    high: Number = 1.0


class Setting(_Record):
    """An integer that the user may set at run time: an iteration count (at least 0), or a factor in a ``combine``."""

    default: Choice
    low: Choice
    high: Choice
    about: str


class Table(_Record):
    """Constants. The first axis of a table that a loop reads is the iteration."""

    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_NUMBERS)], ...], Field(min_length=1, max_length=6)]
    values: Annotated[tuple[Number, ...], Field(max_length=MOST_NUMBERS)]


class _Step(_Record):
    """A step with one output tensor, ``out``."""

    out: Name

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it needs."""
        names = (getattr(self, name, None) for name in ("value", "onto", "points", "at", "like", "place"))
        return tuple(name for name in names if name is not None)

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensors that it gives."""
        return (self.out,)


class Run(_Record):
    """Run a part: its input -> tensor name, and its output -> tensor name."""

    do: Literal["run"] = "run"
    part: Name
    inputs: Mapping[str, Name]
    outputs: Mapping[str, Name]

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it needs."""
        return tuple(self.inputs.values())

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensors that it gives."""
        return tuple(self.outputs.values())


class Repeat(_Record):
    """Run steps ``count`` times.

    ``each`` passes a row of a tensor to every iteration: name in the loop -> tensor with at least ``count`` rows.
    ``state`` are tensors from before the loop that its steps replace; they keep their shape.
    """

    do: Literal["repeat"] = "repeat"
    count: Rounds | Name
    each: Mapping[Name, Name] = Field(default_factory=dict)
    state: tuple[Name, ...] = ()
    steps: tuple[Step, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors from before the loop that it reads, besides those read by its steps."""
        return (*self.each.values(), *self.state)

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensors that it replaces."""
        return self.state


class Term(_Record):
    """``value`` times a number, or times another tensor (with one element, or of the same shape).

    Both may be settings, which are rank-0 tensors.
    """

    value: Name
    times: Number | Name = 1.0


class Combine(_Step):
    """The sum of terms, plus a constant, clipped to ``low``..``high``."""

    do: Literal["combine"] = "combine"
    terms: Annotated[tuple[Term, ...], Field(min_length=1, max_length=64)]
    plus: Number = 0.0
    low: Number | None = None
    high: Number | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it needs."""
        return tuple(name for term in self.terms for name in (term.value, term.times) if isinstance(name, str))


class Concat(_Step):
    """Concatenation along the channels (the second axis)."""

    do: Literal["concat"] = "concat"
    values: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it needs."""
        return self.values


class Channels(_Step):
    """Some channels of a tensor (1, C, ...) of any rank."""

    do: Literal["channels"] = "channels"
    value: Name
    first: Annotated[int, Field(ge=0, le=4096)]
    count: Annotated[int, Field(ge=1, le=4096)]


class Resize(_Step):
    """A picture resized to the size of the tensor ``like``, or to ``size``: bilinear with half-pixel centers,
    antialiased (triangle filter scaled by the factor) when downscaling.
    """

    do: Literal["resize"] = "resize"
    value: Name
    like: Name | None = None
    size: tuple[Side, Side] | None = None


class Discs(_Step):
    """A map (1, 1, H, W) as large as ``like``: 1 or -1 within ``radius`` pixels of each point, 0 elsewhere.

    Later points overwrite earlier ones. ``at`` is the tensor in whose pixels the points are given.
    """

    do: Literal["discs"] = "discs"
    points: Name
    at: Name
    like: Name
    radius: Annotated[float, Field(gt=0.0, le=4096.0)]


class Top(_Step):
    """Positions of the squares of a map (1, 1, H, W) with the largest sums, found greedily: (``count``, 2), top and
    left.

    Squares lie on a grid of half their side, and at the lower and right borders. Inside chosen squares the map counts
    as 0. If there are too few squares, the first one is repeated.
    """

    do: Literal["top"] = "top"
    value: Name
    side: Side
    count: Rounds | Name


class Crop(_Step):
    """The square of ``side`` pixels of a tensor (1, C, H, W) at ``place`` (top, left)."""

    do: Literal["crop"] = "crop"
    value: Name
    place: Name
    side: Side


class Paste(_Step):
    """``onto`` with a square pasted at ``place``, blended in over ``fade`` pixels from the square's borders."""

    do: Literal["paste"] = "paste"
    onto: Name
    value: Name
    place: Name
    fade: Annotated[int, Field(ge=0, le=256)] = 0


Step = Annotated[
    Run | Repeat | Combine | Concat | Channels | Resize | Discs | Top | Crop | Paste, Field(discriminator="do")
]


class Program(_Record):
    """A program: its inputs, constants, settings, steps and outputs."""

    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=16)]
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=16)]
    settings: Mapping[Name, Setting] = Field(default_factory=dict)
    tables: Mapping[Name, Table] = Field(default_factory=dict)
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


Repeat.model_rebuild()
Program.model_rebuild()
