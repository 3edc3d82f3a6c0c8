"""Operators that passes write by others: the same numbers, and no operator left that a target would have to know."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.base import Graph, TensorSpec
from clearport.export.passes import order as passes
from clearport.export.passes.plain import axes, ranks, sampling
from clearport.graph import nodes as graphs

from ..tflite.harness import RANGE, after_conv, build, i64, one, onnxruntime, weight
from .frame_cases import DEEP, FRAMES
from .kernel_cases import PLACES, SCALARS
from .rewritten_cases import CASES, FUNCTIONS, MATRICES, RARER

PLAIN = frozenset(
    {
        *(
            "Abs",
            "Add",
            "Clip",
            "Concat",
            "Conv",
            "ConvTranspose",
            "DepthToSpace",
            "Div",
            "Elu",
            "Exp",
            "Gather",
            "Log",
            "Max",
        ),
        *(
            "MatMul",
            "Min",
            "Mul",
            "Neg",
            "Pad",
            "Relu",
            "Reshape",
            "Sigmoid",
            "Slice",
            "Sqrt",
            "Sub",
            "Tanh",
            "Transpose",
        ),
        *("AveragePool", "GlobalAveragePool", "MaxPool", "InstanceNormalization", "LayerNormalization", "Resize"),
        *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Softmax"),
    }
)
"""What targets know."""

CHOICES = {name: frozenset({"ArgMax", "Cast", "TopK"}) for name in PLACES} | {
    name: frozenset(
        {"ArgMax", "Cast", "Cos", "Equal", "Floor", "Greater", "GridSample", "Not", "Pow", "Sign", "Sin", "Where"}
    )
    for name in RARER
}
"""What writes the places of some cases, and what functions are made of."""


def image() -> np.ndarray:
    return np.random.default_rng(3).uniform(*RANGE, (1, 3, 10, 12)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_the_same_and_operators_plain(name: str) -> None:
    raw = build(CASES[name])
    graph = passes.run(raw)
    wanted = onnxruntime(raw.model, image())
    np.testing.assert_allclose(onnxruntime(graph.model, image()), wanted, atol=2e-5 * max(1, np.abs(wanted).max()))
    assert {node.op_type for node in graph.model.graph} <= PLAIN | CHOICES.get(name, frozenset())
    held = set(graph.model.graph.initializers.values())
    assert not [node for node in graph.model.graph if held.issuperset(v for v in node.inputs if v is not None)]


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [1, 3])
def test_the_largest_are_found_by_counting(axis: int, largest: int) -> None:
    """Of equal numbers the first; zeros behind a Relu are equal."""
    nodes = [
        ("Relu", "x", "r", {}), ("TopK", "r k", "v i", {"axis": axis, "largest": largest}),
        ("Cast", "i", "f", {"to": 1}), one("Add", "v f"),
    ]  # fmt: skip
    graph = passes.run(build(after_conv(*nodes, constants={"k": i64(3)})))
    counted = ranks.run(graph, every=True)
    np.testing.assert_allclose(onnxruntime(counted.model, image()), onnxruntime(graph.model, image()), atol=1e-5)
    assert "TopK" not in {node.op_type for node in counted.model.graph}


@pytest.mark.parametrize("masked", ["Where", "Add"])
def test_what_a_softmax_leaves_out_is_finite(masked: str) -> None:
    causal = np.triu(np.full((10, 12), -np.inf, np.float32), 1)  # something is left of each row
    nodes = {
        "Where": [
            *[("ReduceMean", "x a", "m", {}), ("Greater", "x m", "c", {}), ("Where", "c x k", "w", {})],
            one("Softmax", "w", axis=3),
        ],
        "Add": [("Add", "x t", "w", {}), ("Squeeze", "w", "q", {}), ("Softmax", "q", "p", {}), one("Reshape", "p o")],
    }[masked]
    held = {"k": np.float32(-np.inf), "a": i64(3), "t": causal, "o": i64(1, 8, 10, 12)}
    raw = build(after_conv(*nodes, constants=held))
    graph = passes.run(raw)
    np.testing.assert_allclose(onnxruntime(graph.model, image()), onnxruntime(raw.model, image()), atol=1e-6)
    held = [graphs.constant(value) for value in graph.model.graph.initializers.values()]
    assert all(np.isfinite(array).all() for array in held if array is not None)


def test_places_alone_are_found_by_counting() -> None:
    nodes = [("TopK", "x k", "v i", {"axis": 1}), one("Cast", "i", to=1)]
    graph = passes.run(build(after_conv(*nodes, constants={"k": i64(3)})))
    counted = ranks.run(graph)
    np.testing.assert_array_equal(onnxruntime(counted.model, image()), onnxruntime(graph.model, image()))
    assert "TopK" not in {node.op_type for node in counted.model.graph}


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("border", ["zeros", "border"])
def test_several_pictures_are_sampled_by_look_ups(mode: str, border: str) -> None:
    nodes = [
        ("Reshape", "x several", "p", {}), ("Slice", "p s e a", "two", {}), ("Mul", "two k", "wide", {}),
        ("Transpose", "wide", "grid", {"perm": [0, 2, 3, 1]}),
        ("GridSample", "p grid", "g", {"mode": mode, "padding_mode": border}), one("Reshape", "g whole"),
    ]  # fmt: skip
    held = {"several": i64(4, 2, 10, 12), "whole": i64(1, 8, 7, 12), "s": i64(0), "e": i64(7), "a": i64(2)}
    graph = passes.run(build(after_conv(*nodes, constants={**held, "k": np.float32([1.7])})))
    looked_up = sampling.of_batches(graph)
    np.testing.assert_allclose(onnxruntime(looked_up.model, image()), onnxruntime(graph.model, image()), atol=1e-5)
    assert "GridSample" not in {node.op_type for node in looked_up.model.graph}


@pytest.mark.parametrize("name", SCALARS)
def test_no_value_is_without_axes(name: str) -> None:
    graph = passes.run(build(CASES[name]))
    assert not [v.name for node in graph.model.graph for v in node.outputs if v.shape is not None and not len(v.shape)]


@pytest.mark.parametrize("name", DEEP | FRAMES)
def test_no_value_has_more_than_four_axes(name: str) -> None:
    graph = passes.run(build(CASES[name]))
    last = graph.model.graph.outputs[0]
    deep = [v.name for node in graph.model.graph for v in node.outputs if len(v.shape or ()) > 4 and v is not last]
    assert not deep


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_transpose_is_made_of_ones_of_four_axes(data: st.DataObject) -> None:
    shape = data.draw(
        st.sampled_from([(2, 4, 5, 2, 12), (2, 2, 2, 5, 2, 12), (2, 1, 2, 2, 5, 2, 2, 6), (8, 1, 10, 3, 4)])
    )
    perm = data.draw(st.permutations(range(len(shape))))
    nodes = [("Reshape", "x r", "d", {}), ("Transpose", "d", "t", {"perm": list(perm)}), one("Reshape", "t o")]
    raw = build(after_conv(*nodes, constants={"r": i64(*shape), "o": i64(math.prod(shape[:3]) and 960)}))
    graph = passes.run(raw)
    np.testing.assert_array_equal(onnxruntime(graph.model, image()), onnxruntime(raw.model, image()))
    assert all(len(v.shape or ()) <= 4 for node in graph.model.graph for v in node.outputs)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_axes_that_broadcast_alike_are_one(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(2, 4, 5, 2, 12), (2, 2, 2, 5, 2, 12), (2, 2, 2, 2, 5, 2, 6)]))
    kept = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    other = [n if keep else 1 for n, keep in zip(shape, kept, strict=True)]
    operand = np.random.default_rng(0).standard_normal(other).astype(np.float32)
    nodes = [("Reshape", "x r", "d", {}), ("Mul", "d c", "m", {}), one("Reshape", "m o")]
    raw = build(after_conv(*nodes, constants={"r": i64(*shape), "c": operand, "o": i64(960)}))
    graph = passes.run(raw)
    np.testing.assert_array_equal(onnxruntime(graph.model, image()), onnxruntime(raw.model, image()))
    ranks = [len(v.shape or ()) for node in graph.model.graph for v in node.outputs]
    assert max(ranks) <= 4


def test_a_graph_without_rarer_operators_is_left_alone() -> None:
    """The passes that look for them give back the very graph that they got."""
    from clearport.export.passes.plain import (
        borders,
        einsum,
        frames,
        functions,
        picks,
        resampled,
        transposed,
        writes,
    )
    from clearport.export.passes.plain.attention import heads

    graph = passes.run(build(after_conv(one("Relu"))))
    for module in (borders, einsum, frames, functions, heads, picks, resampled, transposed, writes, axes):
        assert module.run(graph) is graph


def test_constants_that_are_computed_are_folded() -> None:
    """A mask from ConstantOfShape, ScatterND, Where and Expand of a Shape."""
    nodes = [
        ("Shape", "x", "s", {}),
        ("ConstantOfShape", "s", "z", {}),
        ("ScatterND", "z i u", "m", {}),
        ("Equal", "m n", "q", {}),
        ("Where", "q a b", "w", {}),
        one("Add", "x w"),
    ]
    held = {
        "i": i64(0)[None],
        "u": np.ones((1, 8, 10, 12), np.float32),
        "n": np.float32(1),
        "a": np.float32(-1),
        "b": np.float32(2),
    }
    raw = build(after_conv(*nodes, constants=held))
    graph = passes.run(raw)
    assert {node.op_type for node in graph.model.graph} == {"Conv", "Add"}
    np.testing.assert_array_equal(onnxruntime(graph.model, image()), onnxruntime(raw.model, image()))


def test_writes_in_turns_are_depth_to_space() -> None:
    """out[:, :, i::2, j::2] = x of four parts, as wavelets write it."""
    nodes, held = [("Slice", "x s e", "p", {})], {"s": i64(0, 0, 0, 0), "e": i64(1, 8, 5, 6)}
    data = "z"
    held["z"] = np.zeros((1, 8, 10, 12), np.float32)
    for turn in range(4):
        rows, columns = range(turn // 2, 10, 2), range(turn % 2, 12, 2)
        held[f"i{turn}"] = np.stack(np.meshgrid([0], range(8), rows, columns, indexing="ij"), -1)
        held[f"f{turn}"] = np.float32(turn + 1)
        nodes.append(("Mul", f"p f{turn}", f"u{turn}", {}))
        nodes.append(("ScatterND", f"{data} i{turn} u{turn}", "restored" if turn == 3 else f"d{turn}", {}))
        data = f"d{turn}"
    raw = build(after_conv(*nodes, constants=held))
    graph = passes.run(raw)
    assert "DepthToSpace" in {node.op_type for node in graph.model.graph}
    assert not {"ScatterND", "Gather"} & {node.op_type for node in graph.model.graph}
    np.testing.assert_array_equal(onnxruntime(graph.model, image()), onnxruntime(raw.model, image()))


def test_outputs_that_are_parts_are_outputs_still() -> None:
    """Split into two outputs of the network."""
    x = np.random.default_rng(0).standard_normal((1, 5, 4, 6)).astype(np.float32)
    node = onnx.helper.make_node("Split", ["x", "n"], ["first", "second"], axis=1)
    shapes = {"x": x.shape, "first": (1, 3, 4, 6), "second": (1, 2, 4, 6)}
    ends = {name: onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()}
    held = [onnx.numpy_helper.from_array(i64(3, 2), "n")]
    body = onnx.helper.make_graph([node], "case", [ends["x"]], [ends["first"], ends["second"]], held)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    specs = [TensorSpec(name, shape, kind="map", value_range=None) for name, shape in shapes.items()]
    graph = passes.run(Graph(ir.from_proto(model), (specs[0],), tuple(specs[1:]), "case", 1))
    found = graphs.session(graph.model).run(None, {"x": x})
    np.testing.assert_array_equal(np.concatenate(found, 1), x)


def test_a_write_of_all_rows_is_reduced_as_it_says() -> None:
    held = {"d": np.zeros((1, 8, 10, 12), np.float32), "i": i64(0)[None]}
    raw = build(after_conv(one("ScatterND", "d i x", reduction="max"), constants=held))
    np.testing.assert_array_equal(onnxruntime(passes.run(raw).model, image()), onnxruntime(raw.model, image()))


def test_quotients_that_are_cut_are_not_products() -> None:
    """49 times the float32 nearest to 1/49 is below 1."""
    nodes = [("Mul", "x z", "o", {}), ("Add", "o n", "w", {}), ("Div", "w n", "q", {}), one("Floor", "q")]
    raw = build(after_conv(*nodes, constants={"z": np.float32([0]), "n": np.float32([49])}))
    assert onnxruntime(passes.run(raw).model, image()).min() == 1


def test_a_cubic_factor_of_two_is_one_convolution() -> None:
    kinds = [node.op_type for node in passes.run(build(MATRICES["Resize cubic by two"])).model.graph]
    assert kinds == ["Conv", "Pad", "Conv", "DepthToSpace"]


def test_group_normalization_is_spelled_before_shapes_are_asked_for() -> None:
    """ONNX infers no shape behind it, so that no graph with one passes the checks."""
    x = np.random.default_rng(0).standard_normal((1, 8, 4, 6)).astype(np.float32)
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    gain, offset = weight(2), weight(2, seed=1)
    held = [onnx.numpy_helper.from_array(array, name) for name, array in (("g", gain), ("o", offset))]
    nodes = [
        onnx.helper.make_node("GroupNormalization", ["x", "g", "o"], ["n"], num_groups=2),
        onnx.helper.make_node("Shape", ["n"], ["s"]),
        onnx.helper.make_node("Expand", ["n", "s"], ["y"]),
    ]
    body = onnx.helper.make_graph(nodes, "case", ends[:1], ends[1:], held)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    specs = [TensorSpec(name, x.shape, kind="map", value_range=None) for name in ("x", "y")]
    graph = passes.run(Graph(ir.from_proto(model), (specs[0],), (specs[1],), "case", 1))
    found = graphs.session(graph.model).run(None, {"x": x})[0]
    groups = x.reshape(1, 2, -1)
    unit = (groups - groups.mean(-1, keepdims=True)) / np.sqrt(groups.var(-1, keepdims=True) + 1e-5)
    wanted = (unit * gain[:, None] + offset[:, None]).reshape(x.shape)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert "Expand" not in {node.op_type for node in graph.model.graph}


def test_softplus_does_not_overflow() -> None:
    """exp of a hundred is more than float32 holds."""
    case = FUNCTIONS["Softplus"]
    graph = passes.run(build(case))
    large = image() * 1e4
    found = onnxruntime(graph.model, large)
    assert np.isfinite(found).all()
    assert isinstance(graph.model, ir.Model)
