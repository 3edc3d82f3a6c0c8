"""Every pass gives the same numbers, and the form that it promises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph, TensorSpec
from clearport.errors import BadInput
from clearport.export.passes import canonical as pass_canonical
from clearport.export.passes import depth_to_space as pass_depth_to_space
from clearport.export.passes import order as passes
from clearport.graph import nodes as graphs

GOLDEN = Path(__file__).parent / "golden_ncnet_x3.txt"


def graph_of(text: str, scale: int = 1) -> Graph:
    """A graph from ONNX's text form."""
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    source, restored = model.graph.inputs[0], model.graph.outputs[0]

    def spec(value: ir.Value) -> TensorSpec:
        assert value.shape is not None
        return TensorSpec(value.name or "", tuple(n if isinstance(n, int) else "N" for n in value.shape))

    return Graph(model, (spec(source),), (spec(restored),), "test", scale)


def constant(graph: Graph, name: str, array: np.ndarray) -> None:
    """Turn the placeholder input ``name`` of a text graph into an initializer."""
    body = graph.model.graph
    placeholder = next(value for value in body.inputs if value.name == name)
    placeholder.name = None
    value = graphs.new_constant(body, name, array.astype(np.float32))
    ir.convenience.replace_all_uses_with(placeholder, value)
    body.inputs.remove(placeholder)


def operators(graph: Graph) -> list[str]:
    return [node.op_type for node in graph.model.graph]


def outputs_agree(before: Graph, after: Graph) -> None:
    shape = tuple(n if isinstance(n, int) else 6 for n in before.input.shape)
    image = np.random.default_rng(1).uniform(-2, 2, shape).astype(np.float32)
    np.testing.assert_allclose(
        passes.evaluate(after, {"image": image})[0], passes.evaluate(before, {"image": image})[0], atol=1e-5, rtol=0
    )


def listing(graph: Graph) -> str:
    """One line per operator, for people: outputs, operator, inputs, attributes and the shapes of constants."""
    lines = []
    for node in graph.model.graph:
        inputs = []
        for value in node.inputs:
            array = graphs.constant(value)
            if array is None:
                inputs.append("-" if value is None else graphs.name_of(value))
            else:
                inputs.append(f"{array.item():g}" if array.size == 1 else f"{array.shape}".replace(" ", ""))
        attributes = "".join(f" {k}={v.value}" for k, v in sorted(node.attributes.items()))
        outputs = ", ".join(graphs.name_of(v) for v in node.outputs)
        lines.append(f"{outputs} = {node.op_type}({', '.join(inputs)}){attributes}\n")
    return "".join(lines)


@pytest.fixture
def ncnet() -> Graph:
    import torch

    from clearport.base import Size
    from clearport.export.from_torch import export_graph
    from clearport.models.networks.super_resolution.ncnet import SPEC

    torch.manual_seed(0)
    return export_graph(SPEC.build(3), SPEC, 3, Size(24, 32))


def test_ncnet_becomes_what_a_reviewer_can_read(ncnet: Graph) -> None:
    assert listing(ncnet) == GOLDEN.read_text()


def test_every_pass_keeps_the_numbers() -> None:
    text = """g (float[1,3,6,6] image, float[4,3,3,3] W, float[4] B) => (float[1,1,12,12] restored) {
        a = Identity(image)
        b = Conv<auto_pad="SAME_UPPER">(a, W, B)
        c = Relu(b)
        d = DepthToSpace<blocksize=2, mode="CRD">(c)
        restored = Relu(d)
    }"""
    graph = graph_of(text, 2)
    generator = np.random.default_rng(0)
    constant(graph, "W", generator.normal(size=(4, 3, 3, 3)))
    constant(graph, "B", generator.normal(size=4))
    result = passes.run(graph, compare=True)
    outputs_agree(graph, result)
    assert operators(result) == ["Conv", "Relu", "DepthToSpace"]
    assert graphs.attr_ints(result.model.graph[0], "pads", ()) == (1, 1, 1, 1)
    assert result.history == passes.PASSES


def test_a_pass_that_changes_the_numbers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from clearport.errors import CheckFailed
    from clearport.export.passes import names as pass_names

    text = "g (float[1,3,6,6] image) => (float[1,3,6,6] restored) { restored = Relu(image) }"

    def broken(graph: Graph) -> Graph:
        result = graphs.clone(graph)
        result.model.graph[0].op_type = "Neg"
        return result

    monkeypatch.setattr(pass_names, "run", broken)
    with pytest.raises(CheckFailed, match="pass names changed"):
        passes.run(graph_of(text), compare=True)


def test_a_convolution_without_bias_gets_one_of_zeros() -> None:
    text = "g (float[1,3,6,6] image, float[2,3,1,1] W) => (float[1,2,6,6] restored) { restored = Conv(image, W) }"
    graph = graph_of(text)
    constant(graph, "W", np.ones((2, 3, 1, 1)))
    (node,) = passes.run(graph).model.graph
    assert graphs.need_constant(node, 2).tolist() == [0.0, 0.0]
    assert sorted(node.attributes) == ["dilations", "group", "kernel_shape", "pads", "strides"]


def test_a_computed_kernel_of_a_transposed_convolution_is_refused() -> None:
    text = """g (float[1,3,6,6] image) => (float[1,4,8,8] restored) {
        split = Constant<value = int64[4] {3, 4, 3, 3}>()
        kernel = Reshape(image, split)
        restored = ConvTranspose(image, kernel)
    }"""
    with pytest.raises(BadInput, match="its kernel is computed"):
        passes.run(graph_of(text))


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    size=st.tuples(st.integers(4, 12), st.integers(4, 12)),
)
def test_windows_beyond_the_end_become_padding_at_any_size(
    kernel: int, stride: int, pads: tuple[int, ...], size: tuple[int, int]
) -> None:
    pads = tuple(min(pad, kernel - 1) for pad in pads)
    settings_ = f"kernel_shape=[{kernel},{kernel}], strides=[{stride},{stride}], pads={list(pads)}, ceil_mode=1"
    graph = graph_of(
        f"g (float[1,3,H,W] image) => (float[1,3,h,w] restored) {{ restored = MaxPool<{settings_}>(image) }}"
    )
    after = pass_canonical.run(graph)
    (node,) = after.model.graph
    assert graphs.attr_int(node, "ceil_mode", 0) == (stride + max(pads[2:]) > kernel)
    image = np.random.default_rng(1).uniform(-2, -1, (1, 3, *size)).astype(np.float32)
    np.testing.assert_array_equal(
        passes.evaluate(after, {"image": image})[0], passes.evaluate(graph, {"image": image})[0]
    )


@pytest.mark.parametrize(
    ("chain", "left"),
    [
        ("b = Relu(a)  restored = Relu(b)", ["Relu"]),
        ("b = Relu(a)  restored = Clip(b, lo, hi)", ["Clip"]),
        ("b = Clip(a, lo, hi)  restored = Relu(b)", ["Clip"]),
        ("b = Clip(a, lo, hi)  restored = Clip(b, lo, hi)", ["Clip"]),
        ("b = Clip(a, zero)  restored = Identity(b)", ["Relu"]),
    ],
)
def test_clamps_in_a_row_become_one(chain: str, left: list[str]) -> None:
    text = f"""g (float[1,3,6,6] image) => (float[1,3,6,6] restored) {{
        lo = Constant<value = float {{-0.5}}>()
        hi = Constant<value = float {{1.0}}>()
        zero = Constant<value = float {{0.0}}>()
        a = Neg(image)
        {chain}
    }}"""
    graph = graph_of(text)
    result = passes.run(graph, compare=True)
    assert operators(result) == ["Neg", *left]
    outputs_agree(graph, result)


@given(colors=st.integers(1, 4), block=st.integers(2, 4))
def test_channel_order_turns_crd_into_dcr(colors: int, block: int) -> None:
    channels = colors * block * block
    order = pass_depth_to_space.channel_order(channels, block)
    assert sorted(order.tolist()) == list(range(channels))
    for s in range(block * block):
        for c in range(colors):
            assert order[s * colors + c] == c * block * block + s


_DEPTHWISE = "Conv<group=8, kernel_shape=[3,3], pads=[1,1,1,1]>(x, D)"
_STEPS = st.sampled_from(
    [
        "Relu(x)",
        "LeakyRelu<alpha=0.1>(x)",
        "PRelu(x, S)",
        "Sigmoid(x)",
        "Conv<group=8, kernel_shape=[3,3], pads=[1,1,1,1]>(x, D)",
    ]
)


@settings(max_examples=25, deadline=None)
@given(
    left=st.lists(_STEPS, max_size=2), right=st.lists(_STEPS, max_size=2), join=st.sampled_from(["Add", "Sub", "Mul"])
)
def test_crd_becomes_dcr_without_a_new_operator(left: list[str], right: list[str], join: str) -> None:
    branches = ["x0 = Conv(image, W)", "y0 = Conv(image, V)"]
    for name, steps in (("x", left), ("y", right)):
        branches += [f"{name}{i + 1} = {_on(step, f'{name}{i}')}" for i, step in enumerate(steps)]
    text = f"""g (float[1,3,6,6] image, float[8,3,1,1] W, float[8,3,1,1] V, float[8,1,1] S, float[8,1,3,3] D)
        => (float[1,2,12,12] restored) {{
        {chr(10).join(branches)}
        z = {join}(x{len(left)}, y{len(right)})
        restored = DepthToSpace<blocksize=2, mode="CRD">(z)
    }}"""
    graph = graph_of(text, 2)
    generator = np.random.default_rng(0)
    for name, shape in (("W", (8, 3, 1, 1)), ("V", (8, 3, 1, 1)), ("S", (8, 1, 1)), ("D", (8, 1, 3, 3))):
        constant(graph, name, generator.normal(size=shape))
    result = graphs.check(pass_depth_to_space.run(graphs.check(graph)))
    assert operators(result) == operators(graph)
    assert {graphs.attr_str(n, "mode", "") for n in result.model.graph if n.op_type == "DepthToSpace"} == {"DCR"}
    assert result.history == ()
    outputs_agree(graph, result)


def _on(step: str, value: str) -> str:
    return step.replace("(x", f"({value}")


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        ("z = Conv<group=2>(a, G)  b = Relu(a)", "has 2 groups"),
        ("z = Concat<axis=1>(h, h)  b = Relu(a)", "Concat .* cannot be permuted"),
        ("z = Relu(a)  b = Relu(z)", "also read elsewhere"),
    ],
)
def test_what_cannot_be_permuted_gets_a_convolution_and_a_reason(middle: str, reason: str) -> None:
    text = f"""g (float[1,3,6,6] image, float[8,3,1,1] W, float[8,4,1,1] G, float[4,3,1,1] H)
        => (float[1,2,12,12] restored) {{
        a = Conv(image, W)
        h = Conv(image, H)
        {middle}
        c = DepthToSpace<blocksize=2, mode="CRD">(z)
        e = DepthToSpace<blocksize=2>(b)
        restored = Add(c, e)
    }}"""
    graph = graph_of(text, 2)
    generator = np.random.default_rng(0)
    for name, shape in (("W", (8, 3, 1, 1)), ("G", (8, 4, 1, 1)), ("H", (4, 3, 1, 1))):
        constant(graph, name, generator.normal(size=shape))
    result = graphs.check(pass_depth_to_space.run(graphs.check(graph)))
    assert operators(result).count("Conv") == operators(graph).count("Conv") + 1
    (note,) = result.history
    assert re.search(reason, note)
    outputs_agree(graph, result)


def test_clamps_move_in_front_of_depth_to_space() -> None:
    text = """g (float[1,4,6,6] image) => (float[1,1,12,12] restored) {
        a = Neg(image)
        b = DepthToSpace<blocksize=2>(a)
        restored = Relu(b)
    }"""
    graph = graph_of(text, 2)
    result = passes.run(graph, compare=True)
    assert operators(result) == ["Neg", "Relu", "DepthToSpace"]
    assert result.model.graph.outputs[0].name == "restored"


def test_a_clamp_stays_where_the_value_before_it_is_read_elsewhere() -> None:
    text = """g (float[1,4,6,6] image) => (float[1,1,12,12] restored) {
        a = Neg(image)
        b = DepthToSpace<blocksize=2>(a)
        c = Relu(b)
        restored = Add(b, c)
    }"""
    assert operators(passes.run(graph_of(text, 2))) == ["Neg", "DepthToSpace", "Relu", "Add"]
