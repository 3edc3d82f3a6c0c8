"""Networks with constants of the picture's size, branches of several strides, logarithms of zero, and what cancels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph
from clearport.graph import nodes as graphs
from clearport.operators import sizes as graph_sizes
from clearport.quantize import qdq, scheme
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.ranges import ratios
from clearport.quantized import QParams

HEAD = "h = Conv<pads=[1,1,1,1]>(image, W, B) x = Relu(h)"
MEAN = "s = Constant<value_ints=[2,3]>()"
BODIES = {
    "an embedding of positions": "y = Add(x, P)",
    "a row for all rows": "y = Mul(x, Q)",
    "a product over columns": "y = MatMul(x, M)",
    "the logarithm of zero, as a root": """o = Constant<value = float {0.5}>() l = Log(x) m = Mul(l, o) y = Exp(m)""",
    "the logarithm of zero, in int8": """t = Constant<value = float {-2}>() l = Log(x) c = Clip(l, t)
        y = Conv(c, R, B)""",
    "an infinity that is selected away": """z = Constant<value = float {0}>() o = Constant<value = float {1}>()
        d = Div(o, x) b = Greater(x, z) y = Where(b, d, z)""",
    "a pool of what was centered": f"{MEAN} m = ReduceMean(x, s) c = Sub(x, m) p = GlobalAveragePool(c) y = Add(x, p)",
    "a gate of what was centered": f"""{MEAN} m = ReduceMean(x, s) c = Sub(x, m) p = GlobalAveragePool(c)
        q = Conv(p, R, B) g = Sigmoid(q) y = Mul(x, g)""",
    "a difference of equals": "a = Conv(x, R, B) b = Conv(x, R, B) c = Sub(a, b) d = Conv(c, R, B) y = Add(x, d)",
    "all of it on one axis": """n = Constant<value_ints=[-1]>() w = Constant<value_ints=[1,8,16,16]>()
        f = Reshape(x, n) g = Sigmoid(f) y = Reshape(g, w)""",
    "a square of what cancels": f"""{MEAN} m = GlobalAveragePool(x) c = Sub(x, m) p = GlobalAveragePool(c)
        q = Mul(p, p) y = Add(x, q)""",
}
SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 3, 3], "C": [3], "P": [1, 8, 16, 16], "Q": [16], "M": [16, 16],
          "R": [8, 8, 1, 1]}  # fmt: skip


def network(graph_of, body: str) -> Graph:
    text = f"{HEAD} {body} r = Conv<pads=[1,1,1,1]>(y, V, C) restored = Add(image, r)"
    return graph_of(text, **{name: shape for name, shape in SHAPES.items() if name in text})


@pytest.mark.parametrize("search", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("body", BODIES)
def test_they_come_out_in_int8(graph_of, photos: list[np.ndarray], body: str, search: bool) -> None:
    graph = network(graph_of, BODIES[body])
    quantized = quantize(graph, photos, QuantizeOptions(search=search, compensate=search))
    image = np.ascontiguousarray(photos[0][8:24, 8:24].transpose(2, 0, 1)[None].astype(np.float32))
    wanted, found = (graphs.session(m).run(None, {"image": image})[0] for m in (graph.model, qdq.to_qdq(quantized)))
    assert np.isfinite(found).all()
    assert 10 * np.log10(np.ptp(wanted) ** 2 / np.square(found - wanted).mean()) > 35
    activations = {k: p for k, p in quantized.table.entries.items() if p.axis is None and p.dtype == "int8"}
    assert ratios.finest(quantized.graph, activations) == {}


def test_a_scale_that_was_coarsened_is_coarse_enough(graph_of) -> None:
    """Kept as float32 it may be a little below what was computed: then there was no end of coarsening."""
    graph = network(graph_of, BODIES["a square of what cancels"])
    random = np.random.default_rng(0)
    for step in random.uniform(1e-3, 1, 50):
        entries = {"c": QParams((scheme.single(step),), 0)} | dict.fromkeys("pq", QParams((1e-12,), 0))
        for _ in range(2):  # first p, whose scale decides that of q
            found = ratios.finest(graph, entries)
            entries |= {name: scheme.coarser(entries[name], least) for name, least in found.items()}
        assert ratios.finest(graph, entries) == {}


def test_operators_that_share_weights_have_integers_each(graph_of, photos: list[np.ndarray]) -> None:
    graph = network(graph_of, BODIES["a difference of equals"])
    model = qdq.to_qdq(quantize(graph, photos, QuantizeOptions(search=False, compensate=False)))
    weights = [v for v in model.graph.initializers.values() if v.dtype == ir.DataType.INT8 and len(v.shape or ()) == 4]
    assert len(weights) == sum(node.op_type == "Conv" for node in model.graph)
    for value in weights:
        ((reader, _),) = value.uses()
        assert len(reader.outputs[0].uses()) == 1
    assert graphs.session(model).run(None, {"image": np.zeros((1, 3, 16, 16), np.float32)})


@pytest.mark.parametrize(("body", "bound"), [("y = Add(x, P)", "Add"), ("y = MatMul(x, M)", "MatMul"),
                                              ("y = Mul(x, x)", None)])  # fmt: skip
def test_a_constant_with_pixels_binds_the_size(graph_of, caplog, body: str, bound: str | None) -> None:
    found = graph_sizes.size_bound(network(graph_of, body))
    assert (found.op_type if found is not None else None) == bound
    assert caplog.records == [], "no traceback is logged on the way"


@settings(max_examples=30, deadline=None)
@given(strides=st.lists(st.integers(1, 4), min_size=1, max_size=3), wide=st.integers(1, 3))
def test_sizes_are_multiples_of_every_branch(graph_of, strides: list[int], wide: int) -> None:
    lines, last = [], "image"
    for index, stride in enumerate(strides):
        by = f"strides=[{stride},{stride * wide}]"
        lines += [
            f"d{index} = Conv<{by}>(image, W{index}, B)",
            f"u{index} = ConvTranspose<{by}>(d{index}, T{index}, B)",
            f"s{index} = Add({last}, u{index})",
        ]
        last = f"s{index}"
    shapes = {f"W{i}": [3, 3, s, s * wide] for i, s in enumerate(strides)}
    shapes |= {f"T{i}": [3, 3, s, s * wide] for i, s in enumerate(strides)}
    side = np.lcm.reduce([n for s in strides for n in (s, s * wide)])
    text = " ".join(lines).replace(f"{last} = Add", "restored = Add")
    graph = graph_of(text, size=int(side), **shapes, B=[3])
    assert graph_sizes.coarsest_stride(graph) == side
