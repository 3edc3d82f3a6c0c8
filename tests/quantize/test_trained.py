"""Trained int8 forms: fake quantization is the QDQ model's, and a form makes the same graph again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch

from clearport.base import Graph
from clearport.errors import BadInput
from clearport.graph import nodes as graphs
from clearport.quantize import qdq, scheme
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.trained.fake import FakeQuantized
from clearport.quantize.trained.form import form_of, of_text
from clearport.quantized import QuantizedGraph

GraphOf = Callable[..., Graph]
PLAIN = QuantizeOptions((0.0,), search=False, compensate=False, bounds=True)

RESIDUAL = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    s = Sigmoid(b)
    m = Mul(b, s)
    two = Constant<value = float[1] {2.0}>()
    e = Pow(m, two)
    j = Concat<axis=1>(m, e)
    c = Conv<pads=[1,1,1,1]>(j, V, C)
    d = Add(c, image)
    lo = Constant<value = float {0.0}>()
    hi = Constant<value = float {255.0}>()
    restored = Clip(d, lo, hi)
"""
RESIDUAL_SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 16, 3, 3], "C": [3]}


@pytest.fixture(scope="module")
def residual(graph_of: GraphOf) -> Graph:
    """A residual network with a power, which stays float, between int8 operators."""
    return graph_of(RESIDUAL, **RESIDUAL_SHAPES)


@pytest.fixture(scope="module", params=["chain", "residual"])
def whole(request: pytest.FixtureRequest, photos: list[np.ndarray]) -> tuple[Graph, QuantizedGraph]:
    graph: Graph = request.getfixturevalue(request.param)
    return graph, quantize(graph, photos, PLAIN)


def assert_agree(fake: FakeQuantized, quantized: QuantizedGraph, photo: np.ndarray) -> None:
    """Both give the same levels; sums in another order may turn a tie, which is one level of few values."""
    image = photo[:16, :16].transpose(2, 0, 1)[None].astype(np.float32)
    (wanted,) = graphs.session(qdq.to_qdq(quantized), True).run(None, {"image": image})
    with torch.no_grad():
        (made,) = fake({"image": torch.from_numpy(image)})
    levels = np.abs(made.numpy() - wanted) / quantized.table["restored"].scale[0]
    assert len(np.unique(wanted)) > 20
    assert levels.max() < 1.5
    assert (levels > 0.5).mean() <= 0.002


def test_fake_quantization_matches_the_qdq_model(whole: tuple[Graph, QuantizedGraph], photos: list[np.ndarray]) -> None:
    for photo in photos:
        assert_agree(FakeQuantized(whole[1]), whole[1], photo)


def test_what_was_learned_is_what_the_files_compute(
    whole: tuple[Graph, QuantizedGraph], photos: list[np.ndarray]
) -> None:
    fake = FakeQuantized(whole[1])
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in fake.parameters():
            parameter.add_(2.0 * torch.randn_like(parameter))
    learned = fake.quantized()
    assert_agree(fake, learned, photos[0])
    for name, value in learned.graph.model.graph.initializers.items():
        if name in learned.table:
            array = graphs.constant(value)
            assert (scheme.snapped(array, learned.table[name]) == array).all()
    changed = [n for n, params in learned.table.entries.items() if params != whole[1].table[n]]
    assert {learned.table[name].dtype for name in changed} == {"int8", "int32"}
    assert all(
        learned.table[graphs.name_of(v)] == whole[1].table[graphs.name_of(v)]
        for v in graphs.values(learned.graph)
        if graphs.name_of(v) in learned.table
    )


def test_integers_learn(whole: tuple[Graph, QuantizedGraph], photos: list[np.ndarray]) -> None:
    """Every parameter has a gradient, and some steps of Adam bring the output nearer to the float network's."""
    from clearport.quantize.calibration import torch_form

    graph, quantized = whole
    fake = FakeQuantized(quantized)
    image = torch.from_numpy(np.stack([p[:16, :16].transpose(2, 0, 1) for p in photos])).float()
    wanted = torch_form.run(graph, {"image": image})[0]
    optimizer = torch.optim.Adam(fake.parameters(), lr=0.02)
    errors = []
    for _ in range(40):
        error = (fake({"image": image})[0] - wanted).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(error)
        optimizer.step()
        errors.append(float(error.detach()))
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in fake.parameters())
    assert min(errors[-10:]) < 0.9 * errors[0]


def test_a_form_makes_the_same_quantized_graph_again(whole: tuple[Graph, QuantizedGraph]) -> None:
    graph, quantized = whole
    form = form_of(graph, quantized)
    again = of_text(form.to_text(), form.arrays).on(graph)
    assert graphs.to_bytes(qdq.to_qdq(again)) == graphs.to_bytes(qdq.to_qdq(quantized))
    assert dict(again.table.entries) == dict(quantized.table.entries)
    assert "bounds" not in again.table.calibration


def test_a_trained_form_keeps_the_learned_constants(whole: tuple[Graph, QuantizedGraph]) -> None:
    graph, quantized = whole
    fake = FakeQuantized(quantized)
    with torch.no_grad():
        for parameter in fake.parameters():
            parameter.add_(0.7)
    learned = fake.quantized()
    again = form_of(graph, quantized).trained(graph, learned).on(graph)
    assert graphs.to_bytes(qdq.to_qdq(again)) == graphs.to_bytes(qdq.to_qdq(learned))


def test_layers_are_found_by_their_order_where_their_names_differ(residual: Graph, photos: list[np.ndarray]) -> None:
    """As in the graph for another size, where operators that compute shapes count as well."""
    quantized = quantize(residual, photos, PLAIN)
    other = graphs.clone(residual)
    for node in other.model.graph:
        node.name = f"other_{node.name}"
        for value in node.outputs:
            if not value.is_graph_output():
                value.name = f"other_{value.name}"
    again = form_of(residual, quantized).on(graphs.check(other))
    image = photos[0][:16, :16].transpose(2, 0, 1)[None].astype(np.float32)
    first, second = (graphs.session(qdq.to_qdq(q), True).run(None, {"image": image})[0] for q in (quantized, again))
    np.testing.assert_array_equal(first, second)
    assert set(again.table.calibration["islands"]) == {f"other_{n}" for n in quantized.table.calibration["islands"]}


ATTENTION = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)
    {sizes}
    r = Resize<mode="linear">(p, , , sizes)
    restored = Conv(r, V, C)
"""
ATTENTION_SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 1, 1], "C": [3]}
OF_SIZE = "sizes = Constant<value_ints=[1,8,16,16]>()"
OF_ANY = "lead = Constant<value_ints=[1,8]>() rest = Shape<start=2>(image) sizes = Concat<axis=0>(lead, rest)"


def test_a_form_holds_where_an_operator_is_float_at_a_free_size_only(
    graph_of: GraphOf, photos: list[np.ndarray]
) -> None:
    """A Resize to a computed size has no int8 form: what it gives is rounded behind it, and learns so."""
    fixed, free = (graph_of(ATTENTION.format(sizes=sizes), **ATTENTION_SHAPES) for sizes in (OF_SIZE, OF_ANY))
    quantized = quantize(fixed, photos, PLAIN)
    form = form_of(fixed, quantized)
    start = form.on(free)
    assert "r" in quantized.table
    assert "r" not in start.table
    assert start.table["r.int8"] == quantized.table["r"]
    fake = FakeQuantized(start)
    with torch.no_grad():
        for parameter in fake.parameters():
            parameter.add_(0.7)
    trained = form.trained(free, fake.quantized())
    assert dict(trained.on(fixed).table.entries).keys() == dict(quantized.table.entries).keys()
    image = photos[0][:16, :16].transpose(2, 0, 1)[None].astype(np.float32)
    pairs = [(quantized, start), (trained.on(fixed), fake.quantized())]
    for pair in pairs:
        one, other = (graphs.session(qdq.to_qdq(each), True).run(None, {"image": image})[0] for each in pair)
        np.testing.assert_array_equal(one, other)


def test_the_graph_of_another_network_is_refused(
    chain: Graph, residual: Graph, graph_of: GraphOf, photos: list[np.ndarray]
) -> None:
    form = form_of(residual, quantize(residual, photos, PLAIN))
    with pytest.raises(BadInput, match=r"layer node2 \(ConvTranspose|layer .* was .*, with other inputs"):
        form.on(chain)
    wider = graph_of(RESIDUAL, **{**RESIDUAL_SHAPES, "W": [6, 3, 3, 3], "B": [6], "V": [3, 12, 3, 3]})
    with pytest.raises(BadInput, match=r"constant W has the shape \[8, 3, 3, 3\] in the int8 form, and here \[6, 3, 3"):
        form.on(wider)
    shorter = graphs.clone(residual)
    last = shorter.model.graph.node(-1)
    shorter.model.graph.outputs[0] = last.inputs[0]
    shorter.model.graph.remove(last, safe=False)
    with pytest.raises(BadInput, match="it has 8 layers instead of 9"):
        form.on(replace(shorter, model=ir.Model(shorter.model.graph, ir_version=10)))
    with pytest.raises(BadInput, match="not an int8 form"):
        of_text('{"layers": 3}', {})
