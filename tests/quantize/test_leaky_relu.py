"""Leaky ReLUs come out the same in fixed point and in float32, level by level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clearport.graph import nodes as graphs
from clearport.quantize import scheme
from clearport.quantize.ranges import constrain, leaky_relu
from clearport.quantized import QParams
from tests.quantize.test_constrain import lowered, ranges_of

ONE = "a = Conv(image, W, B) b = LeakyRelu<alpha = {:.9g}>(a) restored = Conv(b, V, C)"
SHAPES = {"W": [3, 3, 1, 1], "B": [3], "V": [3, 3, 1, 1], "C": [3]}
LEVELS = np.arange(-255, 256)


@given(st.floats(0.005, 2 * leaky_relu.MOST), st.floats(0.001, 0.5))
def test_a_ratio_is_of_whole_parts_and_hardly_larger(asked: float, slope: float) -> None:
    found = leaky_relu.ratio(asked, slope)
    assert asked <= found <= asked * leaky_relu.WIDENING * (1 + 2**-16)
    assert found == asked or found * leaky_relu.PARTS == pytest.approx(round(found * leaky_relu.PARTS), rel=2**-16)


@given(st.floats(0.14, leaky_relu.MOST))
@example(0.75)
@example(3.7)
def test_no_ratio_whose_slope_is_as_near_makes_fewer_ties(asked: float) -> None:
    """Of 3.75, whose 960 parts are 15 times 64, a quarter of the levels would be; runtimes decide some as they like."""
    most = math.floor(asked * leaky_relu.PARTS * leaky_relu.WIDENING)
    parts = [p for p in range(math.ceil(asked * leaky_relu.PARTS), most + 1) if leaky_relu.PARTS // 2 % p]
    found = leaky_relu.ratio(asked, 0.1)
    if not parts:
        assert found == asked
        return
    near = [p for p in parts if abs(round(0.1 * p) - 0.1 * p) < leaky_relu._NEAR]

    def ties(of: int) -> int:
        return int(np.count_nonzero(LEVELS * of % leaky_relu.PARTS == leaky_relu.PARTS // 2))

    assert ties(round(found * leaky_relu.PARTS)) == min(map(ties, near or parts))


@given(st.floats(0.14, 128), st.floats(0.001, 0.5), st.floats(1e-6, 1e6), st.integers(0, 160))
def test_fixed_point_and_float32_agree_on_every_level(
    graph_of, asked: float, slope: float, step: float, zero: int
) -> None:
    """XNNPACK adds a half and drops the fraction, after it has multiplied by whole parts; ONNX Runtime divides and
    rounds, and OpenVINO multiplies by the reciprocal and adds the zero point before it rounds."""
    out = QParams((scheme.single(step),), -100)
    source = QParams((scheme.single(leaky_relu.ratio(asked, slope) * out.scale[0]),), 3)
    graph = leaky_relu.expressed(graph_of(ONE.format(slope), **SHAPES), {"a": source, "b": out})
    (node,) = (n for n in graph.model.graph if n.op_type == "LeakyRelu")
    alpha = np.float32(graphs.attr_float(node, "alpha", 0.0))
    real = LEVELS.astype(np.float32) * np.float32(source.scale[0])
    ratio = source.scale[0] / out.scale[0]
    parts = np.rint(np.where(LEVELS < 0, alpha * ratio, ratio) * leaky_relu.PARTS).astype(int)
    fixed = (LEVELS * parts + leaky_relu.PARTS // 2) // leaky_relu.PARTS
    given_ = np.where(LEVELS < 0, real * alpha, real)
    divided = np.rint(given_ / np.float32(out.scale[0])).astype(int)
    shifted = np.rint(given_ * np.float32(1 / out.scale[0]) + np.float32(zero)).astype(int) - zero
    for floating in (divided, shifted):
        seen = (fixed >= -zero) & (fixed <= 255 - zero)
        np.testing.assert_array_equal(fixed[seen], floating[seen])
    offset = leaky_relu._BELOW * slope  # against ties
    assert alpha == pytest.approx(slope, abs=0.5 / (asked * leaky_relu.PARTS) + offset)


def test_slopes_stay_where_the_scales_are_not_of_whole_parts(graph_of) -> None:
    graph = graph_of(ONE.format(0.1), **SHAPES)
    entries = {"a": QParams((scheme.single(1.7031),), 3), "b": QParams((1.0,), -100)}
    for given_ in (entries, {"a": QParams((1.5,), 3)}):
        (node,) = (n for n in leaky_relu.expressed(graph, given_).model.graph if n.op_type == "LeakyRelu")
        assert graphs.attr_float(node, "alpha", 0.0) == pytest.approx(0.1)


def test_only_what_nothing_else_binds_is_widened_before_a_leaky_relu(graph_of) -> None:
    body = """a = Conv(image, W, B) b = LeakyRelu<alpha = 0.1>(a)
        c = Conv(b, V, C) d = Concat<axis=1>(b, c) e = LeakyRelu<alpha = 0.1>(d) restored = Conv(e, U, C)"""
    graph = graph_of(body, **SHAPES, U=[3, 6, 1, 1])
    ranges = {**ranges_of(graph), "b": (-6.9, 97.0), "e": (-6.0, 51.0)}
    entries = constrain.activations(lowered(graph, ranges), ranges)
    ratio = entries["a"].scale[0] / entries["b"].scale[0]
    assert ratio == pytest.approx(leaky_relu.ratio(170 / 255 / entries["b"].scale[0], 0.1))
    assert ratio != pytest.approx(170 / 255 / entries["b"].scale[0]), "it was widened"
    assert entries["a"].zero_point == round(-128 + 70 / (170 / 255)), "and stayed where it was"
    assert entries["b"] == entries["c"] == entries["d"]
