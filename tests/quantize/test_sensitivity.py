"""Error weights from gradients, against the networks themselves and against injected noise."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import pytest
import torch

from clearport.base import Graph, Size
from clearport.graph import nodes as graphs
from clearport.operators import sizes as graph_sizes
from clearport.operators import table
from clearport.operators.record import Operator
from clearport.quantize.calibration import observers, photos, sensitivity, torch_form
from clearport.quantize.calibration import survey as calibrate

CASES = {
    "activations": """
        a = LeakyRelu<alpha=0.2>(image) b = PRelu(a, S) c = Sigmoid(b) d = Tanh(c) e = Gelu(d) restored = Relu(e)""",
    "arithmetic": """
        a = Add(image, T) b = Mul(a, S) c = Sub(a, b) d = Div(c, T) e = Max(d, T) f = Min(e, S) restored = Neg(f)""",
    "functions": """
        two = Constant<value = float {2.0}>()
        a = Abs(image) b = Add(a, T) c = Sqrt(b) d = Log(b) e = Exp(d) f = Erf(c) g = HardSwish(f)
        h = Reciprocal(b) i = Pow(h, two) j = Add(i, e) k = Sin(j) l = Cos(k) restored = Add(l, g)""",
    "convolutions": """
        a = Conv<pads=[1,0,2,1], strides=[2,1], dilations=[1,2]>(image, W, B)
        restored = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(a, U, C)""",
    "groups": "restored = Conv<group=3, pads=[1,1,1,1]>(image, G, C)",
    "pools": """
        a = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,1]>(image)
        b = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(a) c = GlobalAveragePool(b) restored = Mul(b, c)""",
    "blocks": """
        a = SpaceToDepth<blocksize=2>(image) b = DepthToSpace<blocksize=2>(a) c = Concat<axis=1>(b, b, b, b)
        restored = DepthToSpace<blocksize=2, mode="CRD">(c)""",
    "pieces": """
        at = Constant<value_ints=[1]>() to = Constant<value_ints=[3]>() axes = Constant<value_ints=[1]>()
        zero = Constant<value_ints=[0]>() last = Constant<value_ints=[6]>() rows = Constant<value_ints=[2]>()
        shape = Constant<value_ints=[0, 2, 3, -1]>()
        a = Slice(image, at, to, axes) b, c = Split<axis=2, num_outputs=2>(a) d = Concat<axis=1>(b, c)
        e = Slice(d, zero, last, rows) f = Reshape(e, shape) restored = Transpose<perm=[0,2,1,3]>(f)""",
    "edges": """
        pads = Constant<value_ints=[0, 0, 1, 2, 0, 0, 2, 1]>() half = Constant<value = float {0.5}>()
        a = Pad<mode="reflect">(image, pads) b = Pad<mode="edge">(a, pads) restored = Pad(b, pads, half)""",
    "sizes": """
        scales = Constant<value_floats=[1.0, 1.0, 2.0, 2.0]>()
        a = Resize<mode="linear">(image, , scales) b = Resize<mode="cubic">(a, , scales)
        restored = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">
            (b, , scales)""",
    "sizes of a shape": """
        lead = Shape<end=2>(image) rest = Shape<start=2>(image) sizes = Concat<axis=0>(lead, rest)
        a = MaxPool<kernel_shape=[2,2], strides=[2,2]>(image)
        restored = Resize<mode="linear">(a, , , sizes)""",
    "matrices": """
        rows = Constant<value_ints=[48, 16]>() last = Constant<value_ints=[1]>()
        low = Constant<value = float {-0.1}>() high = Constant<value = float {0.2}>()
        picture = Constant<value_ints=[1, 3, 4, 4]>()
        a = Reshape(image, rows) b = MatMul(a, M) c = Softmax<axis=-1>(b) d = LayerNormalization(c, N, N)
        e = Gemm<transB=1, alpha=0.5>(d, M, N) f = ReduceMean(e, last) g = ReduceSum(e, last) h = Add(f, g)
        i = Clip(h, low, high) j = Identity(i) restored = Reshape(j, picture)""",
}
SHAPES = {
    "S": [3, 1, 1], "T": [3, 1, 1], "W": [4, 3, 3, 3], "B": [4], "U": [4, 3, 3, 3], "C": [3], "G": [3, 1, 3, 3],
    "M": [16, 16], "N": [16],
}  # fmt: skip
"""Random constants; T is made positive, as divisors and roots want it."""


def _case(graph_of, name: str) -> Graph:
    words = set(re.findall(r"\w+", CASES[name]))
    graph: Graph = graph_of(CASES[name], **{key: shape for key, shape in SHAPES.items() if key in words})
    if "T" in words:
        value = graph.model.graph.initializers["T"]
        value.const_value = ir.tensor(np.abs(graphs.constant(value)) + np.float32(0.5), name="T")
    return graph


@pytest.mark.parametrize("name", CASES)
def test_pytorch_matches_onnx_runtime(graph_of, name: str) -> None:
    graph = _case(graph_of, name)
    image = np.random.default_rng(3).normal(size=(1, 3, 16, 16)).astype(np.float32)
    wanted = graphs.session(graph.model).run(None, {"image": image})[0]
    given = torch_form.run(graph, {"image": torch.from_numpy(image)})[0].numpy()
    assert given.shape == wanted.shape
    np.testing.assert_allclose(given, wanted, rtol=0, atol=2e-6 * max(1.0, np.abs(wanted).max()))


def test_every_form_is_tested() -> None:
    words = {word for body in CASES.values() for word in re.findall(r"\w+", body)}
    assert {record.name for record in table.operators().values() if record.torch is not None} <= words


TINY = """
    a = Conv<pads=[1,1,1,1]>(image, W, B)
    b = Relu(a)
    c = Conv<pads=[1,1,1,1]>(b, V, C)
    restored = Add(c, image)
"""
TINY_SHAPES = {"W": [8, 3, 3, 3], "B": [8], "V": [3, 8, 3, 3], "C": [3]}


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_weights_foretell_what_noise_does_to_the_output(
    graph_of, feeds_of_noise: list[dict[str, np.ndarray]], name: str
) -> None:
    """Noise of a different size in each channel of one value, where the network is run from there."""
    graph = graph_of(TINY, **TINY_SHAPES)
    found = sensitivity.measure(graph, feeds_of_noise)
    assert found is not None
    torch.manual_seed(0)
    foretold, missed = [], []
    for feed in feeds_of_noise:
        values: dict[str, torch.Tensor] = {}
        torch_form.run(graph, {"image": torch.from_numpy(feed["image"])}, values.__setitem__)
        channels = values[name].shape[1]
        size = torch.logspace(-3, -2, channels).reshape(1, -1, 1, 1)
        noise = torch.randn(values[name].shape) * size * (values[name] != 0)
        errors = noise.square().mean((0, 2, 3)).double().numpy()
        foretold.append(float((errors * found.weights[name]).sum()))
        missed.append(float(_behind(graph, values, name, noise).square().mean()))
    assert np.mean(foretold) == pytest.approx(np.mean(missed), rel=0.1)


def test_gradient_checkpointing_has_the_same_gradients(
    graph_of, feeds_of_noise: list[dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(TINY, **TINY_SHAPES)
    whole = sensitivity.measure(graph, feeds_of_noise)
    monkeypatch.setattr(sensitivity, "_KEPT", 1e9)
    parts = sensitivity.measure(graph, feeds_of_noise)
    assert whole is not None
    assert parts is not None
    for one, other in ((whole.weights, parts.weights), (whole.peaks, parts.peaks)):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def feeds_of_noise() -> list[dict[str, np.ndarray]]:
    return [{"image": np.random.default_rng(n).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)} for n in range(16)]


def _behind(graph: Graph, values: dict[str, torch.Tensor], name: str, noise: torch.Tensor) -> torch.Tensor:
    """What ``noise`` in a value changes of the output."""
    changed = dict(values) | {name: values[name] + noise}
    nodes = list(graph.model.graph)
    first = next(index for index, node in enumerate(nodes) if node.outputs[0].name == name)
    for node in nodes[first + 1 :]:
        form = table.of(node).torch
        assert form is not None
        given = [
            changed[v.name] if v.name in changed else torch.from_numpy(np.array(graphs.constant(v)))
            for v in node.inputs
        ]
        changed[graphs.name_of(node.outputs[0])] = form(node, *given)
    return changed["restored"] - values["restored"]


def test_a_graph_that_pytorch_does_not_know_has_no_weights(
    graph_of, feeds_of_noise: list[dict[str, np.ndarray]]
) -> None:
    graph = graph_of("restored = Ceil(image)")
    assert sensitivity.measure(graph, feeds_of_noise) is None


def test_a_form_that_computes_something_else_gives_no_weights(
    graph_of, feeds_of_noise: list[dict[str, np.ndarray]]
) -> None:
    graph = graph_of("a = Abs(image) restored = Add(a, image)")
    assert sensitivity.measure(graph, feeds_of_noise) is not None
    wrong = Operator("Abs", "unary", torch=table.operator("Neg").torch)
    with table.registered(wrong):
        assert sensitivity.measure(graph, feeds_of_noise) is None


def test_the_weighted_range_has_the_least_error_of_the_output(graph_of) -> None:
    """A channel that is large and counts nothing is cut off for one that is small and counts all."""
    graph = graph_of("restored = Conv(image, W, B)", W=[3, 3, 1, 1], B=[3])
    generator = np.random.default_rng(0)
    image = generator.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32) * np.float32([1, 100, 1]).reshape(1, 3, 1, 1)
    (seen,), _ = calibrate.survey(graph, [{"image": image}], ["image"], weights={"image": np.array([0.5, 1e-9, 0.5])})
    low, high = observers.least_error(seen["image"])
    assert -12 < low < -0.9
    assert 0.9 < high < 12
    assert observers.squared_error(seen["image"], low, high) < 0.1 * observers.squared_error(seen["image"], -100, 100)


@pytest.mark.parametrize(("low", "high"), [(-3.0, 3.0), (-1.0, 2.0), (0.0, 0.5)])
def test_the_error_of_a_range_is_that_of_rounding_to_it(low: float, high: float) -> None:
    from clearport.quantize import scheme

    array = np.maximum(np.random.default_rng(0).normal(size=(1, 4, 100, 100)), -0.5).astype(np.float32)
    array[:, :2] = np.maximum(array[:, :2], 0)
    seen = calibrate._looked(array, None).observed
    params = scheme.of_range(low, high)
    wanted = np.square(scheme.snapped(array, params) - array).mean()
    assert float(observers.squared_error(seen, low, high)) == pytest.approx(wanted, rel=0.05)


ATTENTION = """
    sizes = Constant<value_ints=[1,3,48,48]>()
    a = Conv<pads=[1,1,1,1], strides=[2,2]>(image, W, B)
    b = Resize<mode="linear">(a, , , sizes)
    restored = Mul(b, image)
"""
HELD = "sizes = Constant<value_ints=[1,3,48,48]>() restored = Reshape(image, sizes)"


def test_a_network_that_comes_back_to_its_size_can_be_made_smaller(graph_of) -> None:
    graph = graph_of(ATTENTION, size=48, W=[3, 3, 3, 3], B=[3])
    assert graph_sizes.size_bound(graph) is not None
    small = graph_sizes.shrunk(graph, Size(32, 32))
    assert small is not None
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 48, 48)).astype(np.float32)
    whole, part = (
        graphs.session(each.model).run(None, {"image": image[:, :, :side, :side]})[0]
        for each, side in ((graph, 48), (small, 32))
    )
    np.testing.assert_allclose(part[:, :, :28, :28], whole[:, :, :28, :28], rtol=1e-4, atol=1e-2)
    assert graph_sizes.shrunk(graph_of(HELD, size=48), Size(32, 32)) is None


def test_photos_for_it_are_cut_to_squares(graph_of) -> None:
    graph = graph_of(ATTENTION.replace("48", "144"), size=144, W=[3, 3, 3, 3], B=[3])
    images = [np.full((200, 300, 3), 50, np.uint8), np.full((90, 100, 3), 70, np.uint8)]
    small, inputs = photos.prepare(graph, images, 4 * 96**2)
    assert small.input.shape == (1, 3, 96, 96)
    assert [(feed["image"].shape, feed["image"].mean()) for feed in inputs] == [
        ((1, 3, 96, 96), level) for level in (50, 70, 50, 50, 50)
    ]


def test_squares_are_evenly_spaced_in_a_photo() -> None:
    image = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    assert [s.shape for s in photos._squares(image, 16, 1e9)] == [(16, 16, 3)] * 6
    (one,) = photos._squares(image, 16, 1.0)
    assert (one == image[4 + 16 : 4 + 32, 1:17]).all()
