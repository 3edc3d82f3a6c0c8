"""The page's interpreter of programs against Python's, number by number: steps, loops, refusals, noise, raw tensors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from clearport.base import TensorSpec
from clearport.errors import BadInput
from clearport.programs.check import contradictions
from clearport.programs.interpreter import execute
from clearport.programs.program import Program
from clearport.runtime import pixels
from tests.runtime.devices.browser.page_functions import Ask, PageError
from tests.runtime.devices.browser.test_arithmetic import plain

RUN = """
const tensor = ({ shape, data }) => ({ shape, data: Float32Array.from(data) });
const inputs = Object.fromEntries(Object.entries(given.inputs).map(([name, each]) => [name, tensor(each)]));
const rounds = [];
const halved = async (part, { image }) => ({ halved: { shape: image.shape, data: image.data.map((n) => n / 2) } });
const told = (done, total) => rounds.push([done, total]);
const found = await page.execute(given.program, halved, inputs, given.settings, told);
const outputs = Object.entries(found).map(([name, { shape, data }]) => [name, { shape, data: Array.from(data) }]);
return { rounds, outputs: Object.fromEntries(outputs) };
"""
ENDS = {"half": (("image",), ("halved",))}
SETTINGS = {"squares": {"default": 3, "low": 0, "high": 4, "about": "squares"}}
TABLES = {"gains": {"shape": [4], "values": [1.0, 0.5, -0.25, 0.1]}}
GIVEN = {
    "picture": np.random.default_rng(0).random((1, 3, 37, 45), dtype=np.float32),
    "clicks": np.array([[40.0, 3.0, 1.0], [7.5, 30.0, -1.0], [8.0, 31.0, 1.0]], np.float32),
}


def program(*steps: dict[str, Any], outputs: tuple[str, ...]) -> Program:
    inputs = [
        {"name": "picture", "kind": "picture", "shape": [1, 3, "h", "w"]},
        {"name": "clicks", "kind": "points", "shape": ["n", 3]},
    ]
    ends = [{"name": name, "kind": "values"} for name in outputs]
    fields = {"inputs": inputs, "outputs": ends, "settings": SETTINGS, "tables": TABLES, "steps": list(steps)}
    return Program.model_validate_json(json.dumps(fields))


def term(value: str, times: float | str = 1.0) -> dict[str, Any]:
    return {"value": value, "times": times}


WHOLE = program(
    {"do": "resize", "out": "small", "value": "picture", "size": [16, 23]},
    {"do": "discs", "out": "marks", "points": "clicks", "at": "picture", "like": "small", "radius": 3.5},
    {"do": "concat", "out": "both", "values": ["small", "marks"]},
    {"do": "channels", "out": "green", "value": "both", "first": 1, "count": 1},
    {"do": "combine", "out": "map", "terms": [term("green", 0.7), term("green", "green")], "plus": 0.1, "high": 0.9},
    {"do": "resize", "out": "map", "value": "map", "like": "picture"},
    {"do": "top", "out": "places", "value": "map", "side": 9, "count": "squares"},
    {
        "do": "repeat",
        "count": "squares",
        "each": {"place": "places", "gain": "gains"},
        "state": ["map"],
        "steps": [
            {"do": "crop", "out": "cut", "value": "map", "place": "place", "side": 9},
            {"do": "run", "part": "half", "inputs": {"image": "cut"}, "outputs": {"halved": "cut_half"}},
            {
                "do": "repeat",
                "count": 2,
                "state": ["cut_half"],
                "steps": [{"do": "combine", "out": "cut_half", "terms": [term("cut_half", "gain")], "plus": 0.3}],
            },
            {"do": "paste", "out": "map", "onto": "map", "value": "cut_half", "place": "place", "fade": 2},
        ],
    },
    outputs=("both", "map", "places"),
)


def on_page(ask: Ask, made: Program, inputs: dict[str, np.ndarray], **settings: int) -> dict[str, Any]:
    told = {name: {"shape": each.shape, "data": each.ravel().tolist()} for name, each in inputs.items()}
    found: dict[str, Any] = ask(RUN, program=made.model_dump(mode="json"), inputs=told, settings=settings)
    return found


def here(made: Program, inputs: dict[str, np.ndarray], **settings: int) -> dict[str, np.ndarray]:
    return execute(made, lambda part, given: {"halved": given["image"] / 2.0}, inputs, settings)


@pytest.mark.parametrize("squares", [0, 3, 4])
def test_every_step_matches_python(ask: Ask, squares: int) -> None:
    assert list(contradictions(WHOLE, ENDS)) == []
    found, wanted = on_page(ask, WHOLE, GIVEN, squares=squares), here(WHOLE, GIVEN, squares=squares)
    assert found["rounds"] == [[number + 1, squares] for number in range(squares)]
    for name, value in wanted.items():
        theirs = np.array(found["outputs"][name]["data"], np.float32).reshape(found["outputs"][name]["shape"])
        np.testing.assert_allclose(theirs, value, atol=2e-6, err_msg=name)


def test_a_sum_begins_with_numbers_and_goes_on_with_pictures(ask: Ask) -> None:
    row = {"do": "combine", "out": "x", "terms": [term("gain", 2.0), term("picture")], "plus": 0.5}
    loop = {"do": "repeat", "count": 1, "each": {"gain": "gains"}, "state": ["x"], "steps": [row]}
    made = program({"do": "combine", "out": "x", "terms": [term("picture")]}, loop, outputs=("x",))
    found = on_page(ask, made, GIVEN)["outputs"]["x"]
    np.testing.assert_array_equal(np.array(found["data"], np.float32).reshape(found["shape"]), here(made, GIVEN)["x"])


@pytest.mark.parametrize("settings", [{}, {"squares": 4}])
def test_settings_are_numbers_and_values_have_their_default(ask: Ask, settings: dict[str, int]) -> None:
    steps = (
        {"do": "channels", "out": "last", "value": "codes", "first": 1, "count": 2},
        {"do": "combine", "out": "share", "terms": [term("squares", 0.25)], "plus": -1.0},
        {"do": "combine", "out": "x", "terms": [term("last", "share"), term("last", "squares")]},
    )
    plainly = json.loads(program(*steps, outputs=("x",)).model_dump_json())
    plainly["inputs"] += [{"name": "codes", "kind": "values", "shape": [1, 3, 4], "default": 1.5}]
    made = Program.model_validate_json(json.dumps(plainly))
    assert list(contradictions(made, ENDS)) == []
    found = on_page(ask, made, GIVEN, **settings)["outputs"]["x"]
    assert found["shape"] == [1, 2, 4]
    np.testing.assert_array_equal(np.array(found["data"], np.float32), here(made, GIVEN, **settings)["x"].ravel())


MISFITS: dict[str, tuple[dict[str, Any], ...]] = {
    "a square that is too large": ({"do": "top", "out": "x", "value": "picture", "side": 64, "count": 1},),
    "a sum of two shapes": ({"do": "combine", "out": "x", "terms": [term("picture"), term("clicks")]},),
    "a factor of another shape": ({"do": "combine", "out": "x", "terms": [term("picture", "clicks")]},),
    "no picture": ({"do": "resize", "out": "x", "value": "clicks", "size": [2, 2]},),
    "channels that are not there": ({"do": "channels", "out": "x", "value": "picture", "first": 2, "count": 2},),
    "no channels": ({"do": "channels", "out": "x", "value": "gains", "first": 0, "count": 1},),
    "no place": ({"do": "crop", "out": "x", "value": "picture", "place": "gains", "side": 2},),
    "points that are none": (
        {"do": "discs", "out": "x", "points": "gains", "at": "picture", "like": "picture", "radius": 1.0},
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_mismatches_are_refused_with_the_same_message(ask: Ask, name: str) -> None:
    made = program(*MISFITS[name], outputs=("x",))
    with pytest.raises(BadInput) as mine:
        here(made, GIVEN)
    with pytest.raises(PageError) as theirs:
        on_page(ask, made, GIVEN)
    assert str(theirs.value) == str(mine.value)


@pytest.mark.parametrize(
    ("inputs", "settings"),
    [
        ({"picture": GIVEN["picture"]}, {}),
        ({**GIVEN, "picture": np.zeros((1, 1, 4, 4), np.float32)}, {}),
        (GIVEN, {"squares": 5}),
        (GIVEN, {"rounds": 1}),
    ],
)
def test_inputs_are_checked_alike(ask: Ask, inputs: dict[str, np.ndarray], settings: dict[str, int]) -> None:
    with pytest.raises(BadInput) as mine:
        here(WHOLE, inputs, **settings)
    with pytest.raises(PageError) as theirs:
        on_page(ask, WHOLE, inputs, **settings)
    assert str(theirs.value) == str(mine.value)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32 + 5])
def test_a_seed_is_the_same_noise_as_on_the_command_line(ask: Ask, seed: int) -> None:
    """Two calls go on where the first one ended; values of the tail may differ in their last bit."""
    code = "const noise = new page.Noise(given.seed); return [...noise.normal(1001), ...noise.normal(8000)]"
    generator = np.random.default_rng(seed)
    wanted = np.concatenate([generator.standard_normal(n, dtype=np.float32) for n in (1001, 8000)])
    np.testing.assert_allclose(np.array(ask(code, seed=seed), np.float32), wanted, rtol=2e-7)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_real_values_are_the_same_raw_tensors(ask: Ask, layout: str, dtype: str) -> None:
    shape = (1, 2, 3, 5) if layout == "NCHW" else (1, 3, 5, 2)
    quantized = {} if dtype == "float32" else {"scale": 1 / 97, "zero_point": 3}
    spec = TensorSpec("x", shape, dtype, layout, kind="map", value_range=None, **quantized)  # type: ignore[arg-type]
    values = np.random.default_rng(1).normal(0.5, 1.0, (1, 2, 3, 5)).astype(np.float32)
    raw = pixels.of_values(values, spec)
    code = """
    const raw = page.ofValues({ shape: [1, 2, 3, 5], data: Float32Array.from(given.values) }, given.spec);
    const back = page.toValues(raw, given.spec);
    return [Array.from(raw.values), raw.shape, Array.from(back.data), back.shape]
    """
    numbers, found, back, whole = ask(code, values=values.ravel().tolist(), spec=plain(spec))
    assert (numbers, found, whole) == (raw.ravel().tolist(), list(shape), [1, 2, 3, 5])
    np.testing.assert_array_equal(np.array(back, np.float32), pixels.to_values(raw, spec).ravel())
    with pytest.raises(PageError, match=r"input 'x' has shape .*; given: 1x"):
        ask("page.ofValues({ shape: [1, 2, 3, 1], data: new Float32Array(6) }, given.spec)", spec=plain(spec))


def test_golden_tensors_are_read(ask: Ask) -> None:
    stored = save({"input.a": GIVEN["clicks"], "output.b": GIVEN["picture"]})
    code = """
    const found = page.readTensors(Uint8Array.from(given.bytes));
    return Object.entries(found).map(([name, { shape, data }]) => [name, shape, Array.from(data)])
    """
    found = {name: np.array(data, np.float32).reshape(shape) for name, shape, data in ask(code, bytes=list(stored))}
    np.testing.assert_array_equal(found["input.a"], GIVEN["clicks"])
    np.testing.assert_array_equal(found["output.b"], GIVEN["picture"])
