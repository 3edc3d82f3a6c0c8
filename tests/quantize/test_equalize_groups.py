"""Equalization of convolutions of every kind: groups, depth multipliers, transposed, one behind the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph
from clearport.errors import CheckFailed
from clearport.graph import nodes as graphs
from clearport.quantize import qdq
from clearport.quantize.calibration import survey as calibrate
from clearport.quantize.calibration.photos import prepare
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.ranges import equalize
from clearport.quantize.weights import arrays as weights

KINDS = st.tuples(
    st.sampled_from(["Conv", "ConvTranspose"]),
    st.sampled_from([1, 2, 4, 8]),  # groups; of eight channels the last is depthwise
    st.sampled_from([1, 2, 3]),  # kernel
    st.sampled_from([1, 2]),  # multiplier: outputs for each input
)
BETWEEN = st.sampled_from(["Relu(x)", "LeakyRelu<alpha=0.2>(x)", "PRelu(x, S)", "MaxPool<kernel_shape=[2,2]>(x)", None])


def layer(name: str, source: str, kind: tuple[str, int, int, int], inputs: int) -> tuple[str, dict[str, list[int]]]:
    operator, group, kernel, multiplier = kind
    outputs = inputs * multiplier
    shape = [outputs, inputs // group] if operator == "Conv" else [inputs, outputs // group]
    line = f"{name} = {operator}<group={group}, kernel_shape=[{kernel},{kernel}]>({source}, W{name}, B{name})"
    return line, {f"W{name}": [*shape, kernel, kernel], f"B{name}": [outputs]}


def network(graph_of, first, second, between: str | None) -> Graph:
    lines, shapes = ["a = Conv(image, Wa, Ba)"], {"Wa": [8, 3, 1, 1], "Ba": [8]}
    for name, source, kind, inputs in (("b", "a", first, 8), ("d", "c", second, 8 * first[3])):
        line, more = layer(name, source, kind, inputs)
        lines.append(line)
        if name == "b":
            lines.append(f"c = {(between or 'Relu(x)').replace('(x', '(b')}" if between else "c = Relu(b)")
        shapes |= more
    channels = 8 * first[3] * second[3]
    if between and "S" in between:
        shapes["S"] = [8 * first[3], 1, 1]
    return graph_of(" ".join([*lines, "e = LeakyRelu<alpha=0.1>(d) restored = Conv(e, V, C)"]), **shapes,
                    V=[3, channels, 1, 1], C=[3])  # fmt: skip


def uneven(graph: Graph) -> Graph:
    """The same with channels of very different sizes, so that equalization has something to do."""
    generator = np.random.default_rng(3)
    arrays = {
        name: array * 2.0 ** generator.integers(-3, 3, (len(array), *[1] * (array.ndim - 1)))
        for name, value in graph.model.graph.initializers.items()
        if (array := graphs.constant(value)) is not None and array.ndim and name[0] in "WV"
    }
    return weights.replaced(graph, arrays)


@settings(max_examples=40, deadline=None)
@given(first=KINDS, second=KINDS, between=BETWEEN, strength=st.sampled_from([0.3, 0.5, 1.0]))
def test_what_is_computed_stays(graph_of, first, second, between, strength: float) -> None:
    graph = uneven(network(graph_of, first, second, between))
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    names = [graphs.name_of(v) for v in graphs.values(graph)]
    _, peaks = calibrate.survey(graph, [{"image": image}], names)
    equal = equalize.run(graph, peaks, strength)
    wanted, found = (graphs.session(g.model).run(None, {"image": image})[0] for g in (graph, equal))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())
    _, after = calibrate.survey(equal, [{"image": image}], names)
    spread = [p["c"].max() / np.maximum(p["c"], p["c"].max() / 64).min() for p in (peaks, after)]
    assert spread[1] <= spread[0] * 1.001, "no channel of what was equalized is smaller beside the others than before"
    assert graphs.to_bytes(equal.model) != graphs.to_bytes(graph.model)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("Conv", 8, 3, 2), ("Conv", 16, 3, 2)),  # depth multipliers
        (("ConvTranspose", 2, 2, 1), ("ConvTranspose", 4, 2, 2)),
        (("ConvTranspose", 8, 2, 2), ("Conv", 4, 3, 1)),
        (("Conv", 4, 1, 2), ("ConvTranspose", 16, 3, 1)),
    ],
)
def test_groups_and_multipliers_in_int8(graph_of, photos, first, second) -> None:
    graph = uneven(network(graph_of, first, second, "Relu(x)"))
    graph = in_picture_range(graph, photos)
    quantized = quantize(graph, photos, QuantizeOptions(search=False, compensate=False))
    free, images = prepare(graph, photos)
    for image in (whole["image"][:, :, :16, :16].copy() for whole in images):
        wanted, found = (graphs.session(m).run(None, {"image": image})[0] for m in (free.model, qdq.to_qdq(quantized)))
        assert 10 * np.log10(255**2 / np.square(found - wanted).mean()) > 35


def in_picture_range(graph: Graph, photos: list[np.ndarray]) -> Graph:
    """The last convolution scaled so that a picture comes out."""
    free, images = prepare(graph, photos)
    made = graphs.session(free.model).run(None, images[0])[0]
    body = graph.model.graph.initializers
    kernel, bias = (np.asarray(graphs.constant(body[name])) for name in "VC")
    factor = 100 / np.abs(made - made.mean()).max()
    return weights.replaced(graph, {"V": kernel * factor, "C": (bias - made.mean()) * factor + 120})


def test_a_prelu_is_passed_by_what_it_bends_and_not_by_its_slope(graph_of) -> None:
    body = "a = Conv(image, W, B) b = PRelu(image, a) restored = Conv(b, V, C)"
    graph = graph_of(body, W=[3, 3, 1, 1], B=[3], V=[3, 3, 1, 1], C=[3])
    peaks = {graphs.name_of(v): np.array([1.0, 2.0, 3.0]) for v in graphs.values(graph)}
    assert graphs.to_bytes(equalize.run(graph, peaks, 1.0).model) == graphs.to_bytes(graph.model)


def broken(run):
    """An equalization that gets one channel wrong by a tenth."""

    def wrong(graph: Graph, peaks, strength: float) -> Graph:
        result = run(graph, peaks, strength)
        if strength == 0:
            return result
        name = next(n for n, v in result.model.graph.initializers.items() if n == "D")
        array = np.array(graphs.constant(result.model.graph.initializers[name]))
        array[0] *= 1.1
        return weights.replaced(result, {name: array})

    return wrong


def test_an_equalization_that_changes_the_network_is_not_used(chain: Graph, photos, monkeypatch) -> None:
    plain = QuantizeOptions(equalization=(0.0,), search=False, compensate=False)
    wanted = quantize(chain, photos, plain)
    monkeypatch.setattr(equalize, "run", broken(equalize.run))
    found = quantize(chain, photos, replace(plain, equalization=(0.5, 0.0)))
    assert found.table.calibration["equalization"] == 0.0
    assert graphs.to_bytes(found.graph.model) == graphs.to_bytes(wanted.graph.model)
    with pytest.raises(CheckFailed, match="the equalized graph differs from the network"):
        quantize(chain, photos, replace(plain, equalization=(0.5,)))


def test_the_axis_of_a_transposed_convolution_of_groups_is_that_of_its_outputs(graph_of) -> None:
    graph = graph_of("restored = ConvTranspose<group=3>(image, W, B)", colors=6, W=[3, 2, 1, 1], B=[6])
    (node,) = graph.model.graph
    assert isinstance(node, ir.Node)
    assert weights.output_axis(node) == 1
