"""A convolution of white pixels under the largest int8 weights: where sums overflow, its output is not 1."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WHITE = np.ones((1, 16, 8, 10), np.float32)


def convolution(transposed: bool = False) -> onnx.ModelProto:
    """The mean of 16 channels of 3x3 pixels, between quantized values, with all weights at 127.

    ``transposed``: of 1x1 pixels of the picture on its side.
    """
    side = 1 if transposed else 3
    constants = {
        "step": np.float32(1 / 255),
        "black": np.uint8(0),
        "w": np.full((8, 16, side, side), 127, np.int8),
        "small": np.float32(1 / 127 / (16 * side * side)),
        "none": np.int8(0),
    }
    steps = (
        ("QuantizeLinear", "x step black", "xq"),
        ("DequantizeLinear", "xq step black", "xd"),
        ("DequantizeLinear", "w small none", "wd"),
        ("Transpose" if transposed else "Identity", "xd", "t"),
        ("Conv", "t wd", "c"),
        ("QuantizeLinear", "c step black", "cq"),
        ("DequantizeLinear", "cq step black", "y"),
    )
    graph = helper.make_graph(
        [
            helper.make_node(op, given.split(), [out], **({"perm": [0, 1, 3, 2]} if op == "Transpose" else {}))
            for op, given, out in steps
        ],
        "white",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 16, 8, 10))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
