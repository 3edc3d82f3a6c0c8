"""Files that ONNX Runtime's optimizer saved: the graph computes the outputs of the file in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from clearport.errors import BadInput
from clearport.export.from_onnx import lift_fused
from clearport.export.from_onnx.lift import lifted
from tests.export.from_onnx.files import SHAPE, both, given, model, node, noise

if TYPE_CHECKING:
    from pathlib import Path

    import onnx


def fused(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), domain=lift_fused.DOMAIN, **attributes)


RNG = np.random.default_rng(3)
KERNEL, OFFSETS = RNG.normal(size=(3, 3, 3, 3)).astype(np.float32), np.float32([0.1, -0.2, 0.3])
ROW, OTHER = RNG.normal(size=12).astype(np.float32), RNG.normal(size=12).astype(np.float32)
SQUARE = RNG.normal(size=(12, 12)).astype(np.float32)
CONV = {"k": KERNEL, "b": OFFSETS}
FLAT = [node("Reshape", "x n", "f"), node("Reshape", "g whole", "y")]
SHAPES = {"n": np.array([24, 12], np.int64), "whole": np.array(SHAPE, np.int64)}

CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "gelu": ([fused("Gelu", "x", "y")], {}),
    "gelu with an offset": ([fused("BiasGelu", "x r", "y")], {"r": ROW}),
    "fast gelu": ([fused("FastGelu", "x", "y")], {}),
    "fast gelu with an offset": ([fused("FastGelu", "x r", "y")], {"r": ROW}),
    "quick gelu": ([fused("QuickGelu", "x", "y", alpha=1.3)], {}),
    "swish": ([fused("QuickGelu", "x", "y", alpha=1.0)], {}),
    "product": ([fused("FusedMatMul", "x m", "y", transB=1, alpha=0.3)], {"m": SQUARE}),
    "product of a transpose": (
        [fused("FusedMatMul", "x x", "a", transA=1), node("MatMul", "x a", "y")],
        {},
    ),
    "convolution and relu": ([fused("FusedConv", "x k b", "y", activation="Relu", pads=[1] * 4)], CONV),
    "convolution and leaky relu": (
        [fused("FusedConv", "x k", "y", activation="LeakyRelu", activation_params=[0.2], pads=[1] * 4)],
        {"k": KERNEL},
    ),
    "convolution and clip": (
        [fused("FusedConv", "x k b", "y", activation="Clip", activation_params=[0.1, 0.9], pads=[1] * 4)],
        CONV,
    ),
    "convolution, sum and relu": ([fused("FusedConv", "x k b x", "y", activation="Relu", pads=[1] * 4)], CONV),
    "matrix, offset and leaky relu": (
        [FLAT[0], fused("FusedGemm", "f m r", "g", activation="LeakyRelu", activation_alpha=0.1, transB=1), FLAT[1]],
        {**SHAPES, "m": SQUARE, "r": ROW},
    ),
    "sum and layer normalization": (
        [
            node("Reshape", "x n", "f"),
            fused("SkipLayerNormalization", "f f w v r", "h", epsilon=1e-5),
            node("Reshape", "h whole", "y"),
        ],
        {**SHAPES, "n": np.array([1, 24, 12], np.int64), "w": OTHER, "v": ROW, "r": OTHER},
    ),
    "sum that is read again": (
        [
            node("Reshape", "x n", "f"),
            helper.make_node(
                "SkipLayerNormalization", ["f", "f", "w"], ["h", "", "", "s"], domain=lift_fused.DOMAIN, epsilon=1e-5
            ),
            node("Add", "h s", "t"),
            node("Reshape", "t whole", "y"),
        ],
        {**SHAPES, "n": np.array([1, 24, 12], np.int64), "w": OTHER},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_graph_computes_what_the_file_does(name: str, tmp_path: Path) -> None:
    nodes, constants = CASES[name]
    wanted, made = both(model(nodes, 17, constants, domains=[lift_fused.DOMAIN]), tmp_path, noise())
    np.testing.assert_allclose(made, wanted, rtol=0, atol=2e-5)
    assert wanted.std() > 1e-3


def test_an_unknown_activation_is_refused() -> None:
    nodes = [fused("FusedConv", "x k", "y", activation="Softmax", pads=[1] * 4)]
    with pytest.raises(BadInput, match="activation Softmax: give the file from before"):
        lifted(ir.from_proto(model(nodes, 17, {"k": KERNEL}, domains=[lift_fused.DOMAIN])), "given")


def test_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"NhwcMaxPool .*: an operator of com\.microsoft"):
        given(model([fused("NhwcMaxPool", "x", "y")], 17, domains=[lift_fused.DOMAIN]), tmp_path)
