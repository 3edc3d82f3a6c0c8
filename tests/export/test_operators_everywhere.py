"""Operators by their attributes, through every target's writer and runtime: equal to ONNX Runtime, or refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.export.passes import order as passes
from tests.export.every_target import available, by_target
from tests.export.operator_grid import FAMILIES, Tried

from .tflite.harness import RANGE, Case, build, f32, i64, one, onnxruntime

CASES = {name: tried for family in FAMILIES.values() for name, tried in family.items()}
FEW = {
    name: tried
    for family, step in zip(FAMILIES.values(), (97, 113, 23, 11, 19, 29, 31), strict=True)
    for name, tried in list(family.items())[::step]
}
"""Of each family some, with a step that has no factor in common with the attributes' turns."""
TOLERANCE = 1e-4
"""Of the largest number: what is promised of fp32 files."""


def check(tried: Tried, folder: Path) -> set[str]:
    """Assert that every target that accepts the case computes it correctly; returns those targets."""
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, *tried.sides)).astype(np.float32)
    raw = build(tried.case, *tried.sides)
    wanted = onnxruntime(raw.model, image)
    return compare(passes.run(raw), image, wanted, folder)


def compare(graph: Graph, image: np.ndarray, wanted: np.ndarray, folder: Path) -> set[str]:
    """The ways of running that give ``wanted``; asserts that the others refused, naming operator and layer."""
    np.testing.assert_allclose(onnxruntime(graph.model, image), wanted, atol=TOLERANCE * max(1, np.abs(wanted).max()))
    computed = set()
    for way, outcome in by_target(graph, image, folder):
        if outcome.picture is None:
            assert re.match(r"\w+: unsupported operator \w+ of layer '[^']+'", outcome.refusal), (way, outcome.refusal)
            continue
        computed.add(way)
        given = outcome.picture.reshape(wanted.shape) if way == "ncnn" else outcome.picture
        assert given.shape == wanted.shape, way
        assert np.abs(given - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max()), way
    return computed


@pytest.mark.parametrize("name", FEW)
def test_a_sample_of_operators_is_computed_or_refused(name: str, tmp_path: Path) -> None:
    check(FEW[name], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_operator_is_computed_or_refused(family: str, tmp_path: Path) -> None:
    wrong = {}
    for name, tried in FAMILIES[family].items():
        try:
            check(tried, tmp_path)
        except AssertionError as error:
            wrong[name] = str(error).splitlines()[0]
    assert not wrong


SIDES = st.tuples(st.integers(3, 40), st.integers(3, 40))
FACTORS = st.sampled_from(
    [0.25, 1 / 3, 0.3, 0.4, 0.5, 0.6, 2 / 3, 0.7, 0.75, 1.0, 1.25, 1.3, 1.5, 1.7, 2.0, 2.5, 3.0, 4.0]
)
PLACES = st.sampled_from(["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
ROUNDINGS = st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])


def resized(mode: str, places: str, rounding: str, **numbers: np.ndarray) -> Case:
    operands = "image  s" if "scales" in numbers else "image   s"
    node = one("Resize", operands, mode=mode, coordinate_transformation_mode=places, nearest_mode=rounding)
    return Case((node,), {"s": next(iter(numbers.values()))})


def check_resize(case: Case, sides: tuple[int, int], folder: Path) -> None:
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, *sides)).astype(np.float32)
    graph = passes.run(build(case, *sides))
    wanted = onnxruntime(graph.model, image)
    assert {"openvino", "onnxruntime", "coreml"} & set(available()) <= compare(graph, image, wanted, folder)


def _taken(rounding: str, by: float, length: int) -> np.ndarray:
    """The pixels that a nearest Resize of half pixels takes, by the definition of ONNX."""
    at = (np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(by) - np.float32(0.5)
    rounded = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda x: np.ceil(x - np.float32(0.5)),
        "round_prefer_ceil": lambda x: np.floor(x + np.float32(0.5)),
    }[rounding]
    return np.clip(rounded(at), 0, length - 1)


def resize_by(
    mode: str, places: str, rounding: str, sides: tuple[int, int], by: tuple[float, ...], folder: Path
) -> None:
    """A Resize by factors is computed, or refused where ONNX Runtime's copy is not what its factors say."""
    case = resized(mode, places, rounding, scales=f32(1, 1, *by))
    axes = list(zip(sides, by, strict=True))
    kept = all(int(np.float32(n) * np.float32(factor)) == n for n, factor in axes)
    shifts = any(not np.array_equal(_taken(rounding, factor, n), np.arange(n)) for n, factor in axes)
    if mode == "nearest" and places.endswith("half_pixel") and kept and shifts:
        with pytest.raises(BadInput, match="adds no pixels"):
            passes.run(build(case, *sides))
    else:
        try:
            check_resize(case, sides, folder)
        except BadInput as error:  # what interpolates always has a factor nearby
            if mode != "nearest" or "no factor nearby takes the same pixels" not in str(error):
                raise


@settings(max_examples=5, deadline=None)
@given(mode=st.sampled_from(["nearest", "linear"]), places=PLACES, rounding=ROUNDINGS, sides=SIDES, by=FACTORS)
def test_resizing_by_a_factor(
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    places: str,
    rounding: str,
    sides: tuple[int, int],
    by: float,
) -> None:
    least = tuple(max(by, 1.01 / n) for n in sides)
    resize_by(mode, places, rounding, sides, least, tmp_path_factory.mktemp("resized"))


@pytest.mark.parametrize(
    ("places", "rounding"), [("half_pixel", "floor"), ("half_pixel", "round_prefer_ceil"), ("align_corners", "floor")]
)
def test_a_factor_that_adds_no_pixels_is_refused_where_it_takes_others(
    places: str, rounding: str, tmp_path: Path
) -> None:
    """Of three pixels, 1.25 takes the first, first and second if it rounds down, and else each its own."""
    resize_by("nearest", places, rounding, (3, 3), (1.0, 1.25), tmp_path)


@pytest.mark.parametrize("by", [(1.04, 1.5), (1.5, 1.03), (1.04, 0.5)])
def test_a_side_that_keeps_its_length_is_resampled(by: tuple[float, float], tmp_path: Path) -> None:
    check_resize(resized("linear", "half_pixel", "floor", scales=f32(1, 1, *by)), (20, 30), tmp_path)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    mode=st.sampled_from(["nearest", "nearest", "linear"]),
    places=PLACES,
    rounding=ROUNDINGS,
    sides=SIDES,
    by=st.tuples(FACTORS | st.floats(0.25, 4, width=32), FACTORS | st.floats(0.25, 4, width=32)),
    to=st.none() | st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_resizing_by_any_factors_to_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    places: str,
    rounding: str,
    sides: tuple[int, int],
    by: tuple[float, float],
    to: tuple[int, int] | None,
) -> None:
    least = tuple(max(factor, 1.01 / n) for factor, n in zip(by, sides, strict=True))
    folder = tmp_path_factory.mktemp("resized")
    if to is None:
        resize_by(mode, places, rounding, sides, least, folder)
    else:
        check_resize(resized(mode, places, rounding, sizes=i64(1, 3, *to)), sides, folder)


def test_nearest_by_a_third_is_written_for_tflite(tmp_path: Path) -> None:
    """float64 finds 2.9999999 where runtimes, which compute in float32, find 3."""
    case = resized("nearest", "asymmetric", "floor", scales=f32(1, 1, 1 / 3, 1 / 3))
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, 12, 18)).astype(np.float32)
    graph = passes.run(build(case, 12, 18))
    assert set(available()) == compare(graph, image, onnxruntime(graph.model, image), tmp_path)


def test_half_of_odd_sides_is_written_for_ncnn(tmp_path: Path) -> None:
    """By the sizes, 25 to 12, each pixel would lie elsewhere than by the factor: 10 levels off."""
    case = resized("linear", "half_pixel", "floor", scales=f32(1, 1, 0.5, 0.5))
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, 25, 35)).astype(np.float32)
    graph = passes.run(build(case, 25, 35))
    assert "ncnn" in compare(graph, image, onnxruntime(graph.model, image), tmp_path)
