"""Opsets 9 to 26: the graph made from a file computes the outputs of the file in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from clearport.errors import BadInput
from tests.export.from_onnx.files import SHAPE, both, given, model, node, noise

if TYPE_CHECKING:
    from pathlib import Path

I64 = np.int64
KERNEL = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)

KEYS = np.random.default_rng(4).random((8, 8)) > 0.4
KEYS[:, 0] = True
NO_KEY = KEYS & (np.arange(8) != 2)[:, None]
ANGLES = np.outer(np.arange(20), [1, 0.3, 0.1, 0.03, 0.01, 0.003]).astype(np.float32)
"""Of 20 positions and up to 6 pairs."""
PLACES = np.array([[3, 1, 4, 1, 5, 9, 2, 6]], I64)
SHARED = np.random.default_rng(5).normal(size=(1, 1, 5, 12)).astype(np.float32)

CASES: dict[str, tuple[int, list[Any], dict[str, Any]]] = {
    "upsample nearest": (9, [node("Upsample", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 3])}),
    "upsample linear": (9, [node("Upsample", "x s", "y", mode="linear")], {"s": np.float32([1, 1, 2, 2])}),
    "resize 10 nearest up": (10, [node("Resize", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 2])}),
    "resize 10 nearest down": (10, [node("Resize", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 0.5, 0.5])}),
    "resize 10 nearest both": (10, [node("Resize", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 0.5])}),
    "resize 10 linear": (10, [node("Resize", "x s", "y", mode="linear")], {"s": np.float32([1, 1, 1.5, 2])}),
    "resize 11 half pixel": (
        11,
        [node("Resize", "x r s", "y", mode="linear", coordinate_transformation_mode="half_pixel")],
        {"r": np.float32([]), "s": np.float32([1, 1, 2, 2])},
    ),
    "resize 11 for nn": (
        11,
        [
            node(
                "Resize",
                "x r s",
                "y",
                mode="nearest",
                coordinate_transformation_mode="tf_half_pixel_for_nn",
                nearest_mode="floor",
            )
        ],
        {"r": np.float32([]), "s": np.float32([1, 1, 1.5, 2])},
    ),
    "resize 11 sizes": (
        11,
        [node("Resize", "x r s n", "y", mode="cubic", coordinate_transformation_mode="align_corners")],
        {"r": np.float32([]), "s": np.float32([]), "n": np.array([1, 3, 16, 20], I64)},
    ),
    "resize 13 asymmetric": (
        13,
        [
            node(
                "Resize",
                "x - s",
                "y",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": np.float32([1, 1, 2, 2])},
    ),
    "slice": (9, [node("Slice", "x", "y", starts=[1, 2], ends=[7, 100], axes=[2, 3])], {}),
    "slice without axes": (9, [node("Slice", "x", "y", starts=[0, 1], ends=[1, 3])], {}),
    "clip": (10, [node("Clip", "x", "y", min=-0.5, max=0.25)], {}),
    "clip one side": (9, [node("Clip", "x", "y", min=0.0)], {}),
    "pad": (9, [node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 0, 3, 1], mode="constant", value=0.5)], {}),
    "pad reflect": (9, [node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 0, 3, 1], mode="reflect")], {}),
    "dropout": (9, [node("Dropout", "x", "y", ratio=0.5)], {}),
    "squeeze": (11, [node("Squeeze", "x", "a", axes=[0]), node("Unsqueeze", "a", "y", axes=[0])], {}),
    "reduce sum": (11, [node("ReduceSum", "x", "y", axes=[1], keepdims=1)], {}),
    "reduce mean": (13, [node("ReduceMean", "x", "y", axes=[2, 3], keepdims=1)], {}),
    "reduce l2": (11, [node("ReduceL2", "x", "y", axes=[-1], keepdims=1)], {}),
    "split": (
        11,
        [
            node("Split", "x", "a b", axis=3, split=[4, 8]),
            node("ReduceMean", "b", "c", axes=[3]),
            node("Add", "a c", "y"),
        ],
        {},
    ),
    "split evenly": (13, [node("Split", "x", "a b", axis=3), node("Mul", "a b", "y")], {}),
    "softmax of the last": (11, [node("Softmax", "x", "y", axis=3)], {}),
    "softmax of all behind": (11, [node("Softmax", "x", "y", axis=1)], {}),
    "log softmax by default": (9, [node("LogSoftmax", "x", "y")], {}),
    "batch normalization": (
        9,
        [node("BatchNormalization", "x g b m v", "y")],
        {k: np.float32([1.5, 0.5, 2]) for k in "gbmv"},
    ),
    "convolution": (9, [node("Conv", "x k", "y", pads=[1, 1, 1, 1])], {"k": KERNEL}),
    "average pool": (9, [node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "global": (9, [node("GlobalAveragePool", "x", "a"), node("Mul", "x a", "y")], {}),
    "depth to space": (9, [node("Concat", "x x x x", "a", axis=1), node("DepthToSpace", "a", "y", blocksize=2)], {}),
    "grid sample": (
        16,
        [node("GridSample", "x g", "y", mode="bilinear", align_corners=1)],
        {"g": np.random.default_rng(2).uniform(-1, 1, (1, 8, 12, 2)).astype(np.float32)},
    ),
    "group normalization 18": (
        21,
        [node("Concat", "x x", "a", axis=1), node("GroupNormalization", "a g b", "y", num_groups=2)],
        {"g": np.arange(1, 7, dtype=np.float32), "b": np.arange(6, dtype=np.float32)},
    ),
    "swish": (24, [node("Swish", "x", "y", alpha=1.5)], {}),
    "rms normalization": (
        23,
        [node("RMSNormalization", "x g", "y", axis=-1, epsilon=1e-3)],
        {"g": np.linspace(0.5, 2, 12, dtype=np.float32)},
    ),
    "attention": (23, [node("Attention", "x x x", "y")], {}),
    "attention of some keys": (23, [node("Attention", "x x x m", "y")], {"m": KEYS}),
    "attention of no key": (23, [node("Attention", "x x x m", "y", is_causal=1)], {"m": NO_KEY}),
    "attention of no key, by numbers": (
        24,
        [node("Attention", "x x x m", "y", softcap=2.0)],
        {"m": np.where(NO_KEY, np.arange(8.0), -np.inf).astype(np.float32)},
    ),
    "attention of no key, computed": (
        23,
        [node("ReduceMean", "x", "n", keepdims=0), node("Greater", "m n", "c"), node("Attention", "x x x c", "y")],
        {"m": np.where(NO_KEY, 9, -9).astype(np.float32)},
    ),
    "attention of heads that share keys": (23, [node("Attention", "x k k", "y", is_causal=1)], {"k": SHARED}),
    "attention of three axes": (
        23,
        [
            node("Reshape", "x lines", "a"),
            node("Attention", "a a a", "b", q_num_heads=3, kv_num_heads=3),
            node("Reshape", "b whole", "y"),
        ],
        {"lines": np.array([3, 8, 12], I64), "whole": np.array(SHAPE, I64)},
    ),
    "rotary embedding": (
        23,
        [node("RotaryEmbedding", "x c s", "y")],
        {"c": np.cos(ANGLES[None, :8]), "s": np.sin(ANGLES[None, :8])},
    ),
    "rotary embedding of neighbors, of some numbers at positions": (
        23,
        [node("RotaryEmbedding", "x c s p", "y", interleaved=1, rotary_embedding_dim=8)],
        {"c": np.cos(ANGLES[:, :4]), "s": np.sin(ANGLES[:, :4]), "p": PLACES},
    ),
    "rotary embedding of three axes": (
        23,
        [
            node("Reshape", "x rows", "a"),
            node("RotaryEmbedding", "a c s p", "b", num_heads=6, rotary_embedding_dim=4),
            node("Reshape", "b whole", "y"),
        ],
        {
            "c": np.cos(ANGLES[:, :2]),
            "s": np.sin(ANGLES[:, :2]),
            "p": PLACES,
            "rows": np.array([1, 8, 36], I64),
            "whole": np.array(SHAPE, I64),
        },
    ),
    "rotary embedding of three axes, of neighbors": (
        23,
        [
            node("Reshape", "x rows", "a"),
            node("RotaryEmbedding", "a c s", "b", interleaved=1, num_heads=6),
            node("Reshape", "b whole", "y"),
        ],
        {
            "c": np.cos(ANGLES[None, :8, :3]),
            "s": np.sin(ANGLES[None, :8, :3]),
            "rows": np.array([1, 8, 36], I64),
            "whole": np.array(SHAPE, I64),
        },
    ),
    "gelu": (20, [node("Gelu", "x", "y", approximate="tanh")], {}),
    "reshape 21": (
        21,
        [node("Reshape", "x n", "a"), node("Transpose", "a", "y", perm=[0, 2, 1, 3])],
        {"n": np.array([1, 6, 4, 12], I64)},
    ),
    "cast 25": (25, [node("Cast", "x", "a", to=1), node("Conv", "a k", "y", pads=[1, 1, 1, 1])], {"k": KERNEL}),
    "pool 22": (22, [node("MaxPool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_graph_computes_what_the_file_does(name: str, tmp_path: Path) -> None:
    opset, nodes, constants = CASES[name]
    wanted, made = both(model(nodes, opset, constants), tmp_path, noise())
    np.testing.assert_allclose(made, wanted, rtol=0, atol=2e-5)
    assert wanted.std() > 1e-3


@pytest.mark.parametrize("opset", range(9, 27))
def test_every_opset_is_read(opset: int, tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x k", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Transpose", "b", "y", perm=[0, 1, 3, 2]),
    ]
    wanted, made = both(model(nodes, opset, {"k": KERNEL}), tmp_path, noise())
    np.testing.assert_allclose(made, wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("opset", [8, 27])
def test_other_opsets_are_refused(opset: int, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"opset {opset}; clearport reads 9 to 26"):
        given(model([node("Relu", "x", "y")], opset), tmp_path)


def test_functions_are_put_where_they_are_called(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 10)]
    body = [
        node("Clip", "p", "q", min=0.0, max=0.5),
        node("Unsqueeze", "q", "r", axes=[0]),
        node("Squeeze", "r", "s", axes=[0]),
    ]
    function = helper.make_function("mine", "cut", ["p"], ["s"], body, imports)
    nodes = [helper.make_node("cut", ["x"], ["a"], domain="mine"), helper.make_node("cut", ["a"], ["y"], domain="mine")]
    made = model(nodes, 10, functions=[function], domains=["mine"], ir_version=8)
    wanted, graph = both(made, tmp_path, noise())
    np.testing.assert_array_equal(graph, wanted)


def test_statistics_of_training_are_refused(tmp_path: Path) -> None:
    constants = {k: np.float32([1.5, 0.5, 2]) for k in "gbmv"}
    nodes = [node("BatchNormalization", "x g b m v", "z mean var saved spread"), node("Add", "z mean3", "y")]
    nodes.insert(1, node("Unsqueeze", "mean", "mean3", axes=[0, 2, 3]))
    with pytest.raises(BadInput, match="training mode"):
        both(model(nodes, 9, constants), tmp_path, noise())


def branch(op: str, name: str) -> Any:
    ends = [helper.make_tensor_value_info(name, 1, list(SHAPE))]
    return helper.make_graph([node(op, "x", name)], name, [], ends)


def test_a_branch_that_sizes_decide_is_taken_and_one_that_the_picture_decides_refused(tmp_path: Path) -> None:
    both_ways = helper.make_node("If", ["c"], ["y"], then_branch=branch("Relu", "t"), else_branch=branch("Neg", "e"))
    sizes = [node("Shape", "x", "s"), node("Gather", "s i", "n"), node("Equal", "n three", "c"), both_ways]
    wanted, made = both(model(sizes, 17, {"i": np.int64(1), "three": np.int64(3)}), tmp_path, noise())
    np.testing.assert_array_equal(made, wanted)
    picture = [node("ReduceMax", "x", "m", keepdims=0), node("Greater", "m zero", "c"), both_ways]
    with pytest.raises(BadInput, match="a branch that the picture decides"):
        both(model(picture, 17, {"zero": np.float32(0)}), tmp_path, noise())
