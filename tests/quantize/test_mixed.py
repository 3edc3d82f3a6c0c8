"""Layers that stay float because int8 loses too much there, and the trade-off."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clearport.base import Prefer
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.placement import floats as placement
from clearport.quantize.placement import mixed
from clearport.quantize.placement.terms import TERMS
from clearport.quantized import QParams

BALANCED = TERMS["balanced"]

SENSITIVE = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    big = Constant<value = float {600.0}>()
    c = Conv<pads=[1,1,1,1]>(b, V, C)
    d = Mul(c, big)
    lo = Constant<value = float {0.0}>()
    hi = Constant<value = float {255.0}>()
    restored = Clip(d, lo, hi)
"""


def test_a_sensitive_end_stays_in_float_and_the_table_says_so(graph_of, photos: list[np.ndarray]) -> None:
    """The last convolution's output is magnified 600 times: its steps would be seen."""
    graph = graph_of(SENSITIVE, W=[8, 3, 3, 3], B=[8], V=[3, 8, 3, 3], C=[3])
    result = quantize(graph, photos)
    record = result.table.calibration
    assert record["tail"]
    convolutions = [n for n in graph.model.graph if n.op_type == "Conv"]
    assert convolutions[0].name not in record["tail"]
    assert "d" not in result.table
    assert result.table["restored"] == QParams((1.0,), -128)
    assert record["simulated_psnr_db"] > 30


def test_what_the_search_is_worth() -> None:
    assert mixed.loss_db(47.4, "deraining") < BALANCED.bearable_db < mixed.loss_db(47.2, "super-resolution")
    assert mixed.loss_db(38, "low-light") < BALANCED.bearable_db, (
        "so far from its target, a small error is lost in a large one"
    )
    assert BALANCED.bad_db * 1.53 < 0.3


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), prefer=st.sampled_from(sorted(TERMS)))
def test_more_float_costs_more(shares: tuple[float, float], prefer: Prefer) -> None:
    less, more = sorted(shares)
    terms = TERMS[prefer]
    prices = [terms.worth_db, terms.price_db(less), terms.price_db(more), terms.worth_db + 2 * terms.doubling_db]
    assert prices == sorted(prices)


def test_who_prefers_quality_pays_more_for_it(graph_of, photos: list[np.ndarray]) -> None:
    graph = graph_of(SENSITIVE, W=[8, 3, 3, 3], B=[8], V=[3, 8, 3, 3], C=[3])
    speed, balanced, quality = (
        quantize(graph, photos, QuantizeOptions(prefer=prefer)).table.calibration
        for prefer in ("speed", "balanced", "quality")
    )
    assert (speed["tail"], speed["float_layers"], speed["float_share"]) == ([], [], 0)
    assert speed["simulated_loss_db"] > balanced["simulated_loss_db"] >= quality["simulated_loss_db"]
    assert 0 < balanced["float_share"] <= quality["float_share"] <= mixed.MOST_FLOAT
    assert [each["prefer"] for each in (speed, balanced, quality)] == ["speed", "balanced", "quality"]


def test_a_float_part_pays_by_what_it_spares_and_what_it_computes() -> None:
    whole = mixed.Mixed(loss_db=0.17)
    cheap, dear = (mixed.Mixed(("conv",), (), loss_db=0.09, share=share) for share in (0.03, 0.45))
    assert mixed.pays(BALANCED, whole, cheap)
    assert not mixed.pays(BALANCED, whole, dear)
    further = mixed.Mixed(("conv",), ("other",), loss_db=0.085, share=0.03)
    assert not mixed.pays(BALANCED, cheap, further), "a further part must spare something itself"
    assert mixed.pays(BALANCED, mixed.Mixed(loss_db=0.8), dear), "0.7 dB are worth half of the network"


def test_the_costliest_for_their_price_are_tried_first() -> None:
    errors = {"half of the network": 3.0, "free": 0.5, "a tenth": 1.5, "also free": 0.4}
    shares = {"half of the network": 0.5, "free": 0.0, "a tenth": 0.1, "also free": 0.0}
    assert mixed.ranked(BALANCED, errors, shares) == ["free", "also free", "a tenth", "half of the network"]


MIDDLE = """
    huge = Constant<value = float {2000.0}>()
    lo = Constant<value = float {0.0}>() hi = Constant<value = float {255.0}>()
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Mul(a, huge)
    c = Add(b, image)
    d = Sub(c, b)
    e = Conv<pads=[1,1,1,1]>(d, V, C)
    f = Relu(e)
    g = Conv<pads=[1,1,1,1]>(f, U, D)
    h = Add(g, image)
    restored = Clip(h, lo, hi)
"""


def test_layers_that_spoil_everything_are_found_and_stay_in_float(graph_of, photos: list[np.ndarray]) -> None:
    """b is 2000 times what is of use: in 8 bits nothing of the image would be left in c, and so in c - b."""
    shapes = {"W": [3, 3, 3, 3], "B": [3], "V": [8, 3, 3, 3], "C": [8], "U": [3, 8, 3, 3], "D": [3]}
    graph = graph_of(MIDDLE, **shapes)
    result = quantize(graph, photos)
    record = result.table.calibration
    assert {placement.name_of(n) for n in graph.model.graph if n.op_type == "Sub"} <= set(record["float_layers"])
    assert "c" not in result.table
    assert "image" in result.table
    assert record["simulated_psnr_db"] > 40
