"""Programs: results of steps, state of loops, and refusals before and during a run."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from clearport.errors import BadInput
from clearport.programs import squares
from clearport.programs.chains import longest_chains
from clearport.programs.check import contradictions
from clearport.programs.interpreter import execute
from clearport.programs.program import Program

ENDS = {"half": (("image",), ("halved",))}
PICTURE = {"name": "picture", "kind": "picture", "shape": [1, 1, "h", "w"]}
GIVEN = np.arange(48, dtype=np.float32).reshape(1, 1, 6, 8) / 48.0


def program(*steps: dict[str, Any], out: str = "x", **fields: Any) -> Program:
    plain = {"inputs": [PICTURE], "outputs": [{"name": out, "kind": "picture"}], "steps": list(steps), **fields}
    return Program.model_validate_json(json.dumps(plain))


def run(made: Program, **settings: int) -> np.ndarray:
    assert list(contradictions(made, ENDS)) == []
    halved = lambda part, given: {"halved": given["image"] / 2.0}  # noqa: E731
    return execute(made, halved, {"picture": GIVEN}, settings)[made.outputs[0].name]


def copied(value: str = "picture", out: str = "x") -> dict[str, Any]:
    return {"do": "combine", "out": out, "terms": [{"value": value}]}


def part(value: str, out: str) -> dict[str, Any]:
    return {"do": "run", "part": "half", "inputs": {"image": value}, "outputs": {"halved": out}}


def test_a_loop_hands_its_state_on_and_reads_a_row_of_its_table_each_round() -> None:
    body = [part("x", "y"), {"do": "combine", "out": "x", "terms": [{"value": "y", "times": "k"}], "plus": 1.0}]
    loop = {"do": "repeat", "count": "rounds", "each": {"k": "factors"}, "state": ["x"], "steps": body}
    tables = {"factors": {"shape": [3, 1], "values": [1.0, 2.0, 4.0]}}
    settings = {"rounds": {"default": 3, "low": 0, "high": 3, "about": "rounds"}}
    made = program(copied(), loop, tables=tables, settings=settings)
    wanted = GIVEN
    for factor in (1.0, 2.0, 4.0):
        wanted = factor * wanted / 2.0 + 1.0
    np.testing.assert_allclose(run(made), wanted, rtol=1e-6)
    np.testing.assert_array_equal(run(made, rounds=0), GIVEN)


def test_chains_are_of_runs_that_depend_on_each_other() -> None:
    """A loop of three rounds within one of two, whose state goes through a run; and runs beside them."""
    inner = {"do": "repeat", "count": 3, "state": ["x"], "steps": [part("x", "x")]}
    beside = part("picture", "other")
    loop = {"do": "repeat", "count": "rounds", "state": ["x"], "steps": [inner, copied("x", "y"), copied("y"), beside]}
    settings = {"rounds": {"default": 2, "low": 0, "high": 9, "about": "rounds"}}
    joined = {"do": "concat", "out": "both", "values": ["x", "seen"]}
    made = program(copied(), part("picture", "seen"), loop, joined, part("both", "both"), out="both", settings=settings)
    both = {"outputs": (*made.outputs, made.outputs[0].model_copy(update={"name": "seen"}))}
    assert longest_chains(made.model_copy(update=both)) == {"both": 7, "seen": 1}
    assert longest_chains(program(copied())) == {"x": 0}


def test_sums_are_clipped_and_channels_joined_and_taken_apart() -> None:
    both = {"do": "concat", "out": "both", "values": ["picture", "y"]}
    second = {"do": "channels", "out": "x", "value": "both", "first": 1, "count": 1}
    clipped = {"do": "combine", "out": "y", "terms": [{"value": "picture", "times": 2.0}], "low": 0.5, "high": 1.0}
    np.testing.assert_allclose(run(program(clipped, both, second)), np.clip(2.0 * GIVEN, 0.5, 1.0))


def test_settings_are_numbers_of_sums_and_values_may_have_a_default() -> None:
    codes = {"name": "codes", "kind": "values", "shape": [1, 3, 2], "default": 2.0}
    last = {"do": "channels", "out": "last", "value": "codes", "first": 2, "count": 1}
    share = {"do": "combine", "out": "share", "terms": [{"value": "k", "times": 0.5}], "plus": 1.0}
    terms = [{"value": "last", "times": "share"}, {"value": "last", "times": "k"}]
    settings = {"k": {"default": 4, "low": -8, "high": 8, "about": "halves"}}
    steps = (last, share, {"do": "combine", "out": "x", "terms": terms})
    made = program(*steps, inputs=[PICTURE, codes], settings=settings)
    np.testing.assert_array_equal(run(made), np.full((1, 1, 2), 2.0 * 3.0 + 2.0 * 4.0))
    np.testing.assert_array_equal(run(made, k=-2), np.full((1, 1, 2), -4.0))
    assert longest_chains(made) == {"x": 0}


@pytest.mark.parametrize("size", [(3, 5), (12, 8), (7, 16), (6, 8)])
def test_resizing_is_that_of_pytorch_and_pillow(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random((1, 3, 31, 20), dtype=np.float32)
    found = squares.resized(noise, size)
    wanted = F.interpolate(torch.from_numpy(noise), size=size, mode="bilinear", antialias=True).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    pillow = Image.fromarray(noise[0, 0]).resize(size[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found[0, 0], np.asarray(pillow), atol=2e-5)


def test_squares_are_found_where_the_map_is_large_and_each_place_once() -> None:
    values = np.zeros((1, 1, 20, 30), np.float32)
    values[0, 0, 17, 28] = 2.0
    values[0, 0, 3, 3] = 1.0
    places = squares.top(values, 8, 3)
    assert places.tolist() == [[12.0, 22.0], [0.0, 0.0], [12.0, 22.0]]  # the last is a repetition: nothing is left


def test_what_is_pasted_is_what_was_cut_and_fades_in() -> None:
    base = np.random.default_rng(1).random((1, 2, 20, 30), dtype=np.float32)
    place = np.array([4.0, 9.0], np.float32)
    np.testing.assert_array_equal(squares.paste(base, squares.crop(base, place, 8), place, 3), base)
    ones = squares.paste(np.zeros((1, 1, 20, 30), np.float32), np.ones((1, 1, 8, 8), np.float32), place, 1)
    assert ones[0, 0, 4, 9] == 0.5
    assert ones[0, 0, 5:11, 10:16].min() == 1.0
    assert ones.sum() == 36 + 28 * 0.5


def test_discs_are_at_the_points_in_the_larger_image() -> None:
    points = np.array([[31.0, 15.0, 1.0], [0.0, 0.0, -1.0]], np.float32)
    found = squares.discs(points, (16, 16), (32, 64), 0.7)[0, 0]
    assert found[0, 0] == -1.0
    assert [tuple(at) for at in np.argwhere(found > 0)] == [(7, 7), (7, 8)]  # centered at 7.25, 7.375


NOTHING = {"do": "repeat", "count": 2, "state": ["x"], "steps": [copied("picture", "y")]}
WRONG = {
    "an unknown name": (program(copied("nothing")), "nothing before it is called 'nothing'"),
    "an unknown part": (program({**part("picture", "x"), "part": "third"}), "no part 'third' .available: half"),
    "an input too many": (
        program({**part("picture", "x"), "inputs": {"image": "picture", "more": "picture"}}),
        "half takes image; given: image, more",
    ),
    "an output that a part lacks": (
        program({**part("picture", "x"), "outputs": {"halved": "x", "more": "y"}}),
        "gives halved, and not 'more'",
    ),
    "a state that stays": (program(copied(), NOTHING), "no step of it replaces its state 'x'"),
    "a name that leaves its loop": (
        program({"do": "repeat", "count": 1, "steps": [copied()]}, copied("x")),
        "nothing before it is called 'x'",
    ),
    "an outer name replaced": (
        program(copied(), {"do": "repeat", "count": 1, "steps": [copied()]}),
        "it must be among its state",
    ),
    "a table that is too short": (
        program(
            copied(),
            {"do": "repeat", "count": 3, "each": {"k": "t"}, "state": ["x"], "steps": [copied("x")]},
            tables={"t": {"shape": [2, 1], "values": [1.0, 2.0]}},
        ),
        "table 't' has 2 rows for 3 rounds",
    ),
    "a table of another size": (
        program(copied(), tables={"t": {"shape": [2, 2], "values": [1.0]}}),
        "1 values for the shape .2, 2.",
    ),
    "a constant replaced": (
        program(copied(), copied("picture", "t"), tables={"t": {"shape": [1], "values": [1.0]}}),
        "'t' is a constant",
    ),
    "no such output": (program(copied(), out="y"), "no step gives 'y'"),
    "no such setting": (program({"do": "repeat", "count": "rounds", "steps": [copied()]}, copied()), "no setting"),
    "a count below 0": (
        program(
            copied(),
            {"do": "repeat", "count": "n", "steps": [copied("x", "y")]},
            settings={"n": {"default": 0, "low": -1, "high": 2, "about": "rounds"}},
        ),
        "'n' may be below 0, which no count is",
    ),
    "a setting that is no tensor": (
        program(
            {"do": "resize", "out": "x", "value": "n", "size": [2, 2]},
            settings={"n": {"default": 0, "low": 0, "high": 2, "about": "numbers"}},
        ),
        "nothing before it is called 'n'",
    ),
    "a picture by default": (
        program(copied(), inputs=[{**PICTURE, "default": 0.0}]),
        "only values of a fixed shape",
    ),
    "two sizes": (program({"do": "resize", "out": "x", "value": "picture"}), "either 'like' or 'size'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_program_is_reported_before_it_runs(name: str) -> None:
    made, why = WRONG[name]
    found = "\n".join(contradictions(made, ENDS))
    assert re.search(why, found), found


def test_loops_in_loops_are_bounded_in_depth_and_in_runs() -> None:
    deep: dict[str, Any] = copied("picture", "y")
    for _ in range(4):
        deep = {"do": "repeat", "count": 1, "steps": [deep]}
    assert "nested deeper than 3" in "\n".join(contradictions(program(copied(), deep), ENDS))
    many: dict[str, Any] = part("picture", "y")
    for _ in range(2):
        many = {"do": "repeat", "count": 1000, "steps": [many]}
    assert "up to 1000000 runs of parts" in "\n".join(contradictions(program(copied(), many), ENDS))
    idle: dict[str, Any] = copied("picture", "y")
    for _ in range(3):
        idle = {"do": "repeat", "count": 1000, "steps": [idle]}
    assert "are taken, all rounds counted, at most 100000" in "\n".join(contradictions(program(copied(), idle), ENDS))


def test_sizes_and_ranges_that_no_picture_has_are_contradictions() -> None:
    huge = {"name": "picture", "kind": "noise", "shape": [1 << 20] * 6}
    assert "more than 134217728 numbers" in "\n".join(contradictions(program(copied(), inputs=[huge]), ENDS))
    flat = {"name": "x", "kind": "picture", "low": 1.0, "high": 1.0}
    assert "expected low < high of a picture" in "\n".join(contradictions(program(copied(), outputs=[flat]), ENDS))


LONG = {"shape": [1, 1, 1, 1 << 16], "values": [0.0] * (1 << 16)}
TALL = {**LONG, "shape": [1, 1, 1 << 16, 1]}
FAR = {"do": "combine", "out": "far", "terms": [{"value": "at", "times": 1e6}]}


@pytest.mark.parametrize(
    ("steps", "tables", "why"),
    [
        ([{"do": "resize", "out": "x", "value": "long", "like": "long"}], {"long": LONG}, "4,294,967,296 numbers"),
        (
            [{"do": "resize", "out": "x", "value": "long", "like": "tall"}],
            {"long": LONG, "tall": TALL},
            "4,294,967,296 numbers",
        ),
        (
            [FAR, *[{**FAR, "terms": [{"value": "far", "times": 1e6}]}] * 8,
             {"do": "crop", "out": "x", "value": "picture", "place": "far", "side": 2}],
            {"at": {"shape": [2], "values": [1.0, 1.0]}},
            "not finite",
        ),
        (
            [copied(), {"do": "repeat", "count": 2, "each": {"row": "flat"}, "state": [], "steps": [
                {"do": "repeat", "count": 1, "each": {"number": "row"}, "steps": [copied("picture", "y")]}]}],
            {"flat": {"shape": [2], "values": [1.0, 2.0]}},
            "'row' has 0 rows for 1 rounds",
        ),
    ],
)  # fmt: skip
def test_what_would_take_the_memory_or_no_place_has_is_bad_input(
    steps: list[dict[str, Any]], tables: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        run(program(*steps, tables=tables))


@pytest.mark.parametrize(
    "step",
    [
        {"do": "shell", "out": "x", "value": "picture"},
        {"do": "repeat", "count": 1001, "steps": [copied()]},
        {"do": "combine", "out": "x", "terms": [{"value": "picture", "times": 1e300}]},
        {"do": "combine", "out": "../x", "terms": [{"value": "picture"}]},
        {"do": "resize", "out": "x", "value": "picture", "size": [9000, 9000]},
        {**copied(), "more": 1},
    ],
)
def test_steps_that_are_none_are_no_program(step: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        program(step)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([{"do": "crop", "out": "x", "value": "picture", "place": "picture", "side": 4}], r"steps.0 .crop.: expected"),
        ([{"do": "channels", "out": "x", "value": "picture", "first": 1, "count": 1}], "channels 1 to 1 of 1"),
        ([{"do": "top", "out": "x", "value": "picture", "side": 64, "count": 1}], "squares of 64"),
        ([{"do": "concat", "out": "x", "values": ["picture"] * 64}] * 1 + [
            {"do": "concat", "out": "x", "values": ["x"] * 64} for _ in range(3)], "a tensor of .* numbers, at most"),
        ([{"do": "resize", "out": "y", "value": "picture", "size": [3, 3]},
          {"do": "combine", "out": "x", "terms": [{"value": "picture"}, {"value": "y"}]}], "a sum of"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_bad_input_that_names_the_step(steps: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        run(program(*steps))


def test_inputs_and_settings_are_checked() -> None:
    made = program(copied(), settings={"n": {"default": 1, "low": 0, "high": 2, "about": "how many"}})
    nothing = lambda part, given: {}  # noqa: E731
    with pytest.raises(BadInput, match=r"'picture' .picture. was not given"):
        execute(made, nothing, {})
    with pytest.raises(BadInput, match=r"has the shape 1x1xhxw; given: 1x3x6x8"):
        execute(made, nothing, {"picture": GIVEN.repeat(3, axis=1)})
    with pytest.raises(BadInput, match="not finite"):
        execute(made, nothing, {"picture": GIVEN * np.nan})
    with pytest.raises(BadInput, match="n=3: expected 0 to 2: how many"):
        execute(made, nothing, {"picture": GIVEN}, {"n": 3})
    with pytest.raises(BadInput, match=r"no setting 'm' .available: n"):
        execute(made, nothing, {"picture": GIVEN}, {"m": 3})
