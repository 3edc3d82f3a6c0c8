"""Cases of TFLite's rules: convolutions, arithmetic and activations."""

from __future__ import annotations

import numpy as np

from .harness import Case, after_conv, conv_case, f32, one, weight

COMPUTE: dict[str, Case] = {
    "conv same": conv_case((8, 3, 3, 3), pads=[1, 1, 1, 1]),
    "conv valid": conv_case((8, 3, 3, 3)),
    "conv 5x3": conv_case((4, 3, 5, 3), pads=[2, 1, 2, 1]),
    "conv dilated": conv_case((4, 3, 3, 3), pads=[2, 2, 2, 2], dilations=[2, 2]),
    "conv stride 2, pads of PyTorch": conv_case((4, 3, 3, 3), "PAD", "CONV_2D", pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv stride 2, pads of SAME": conv_case((4, 3, 3, 3), pads=[0, 0, 1, 1], strides=[2, 2]),
    "conv 1x1 stride 2": conv_case((4, 3, 1, 1), strides=[2, 2]),
    "conv odd pads": conv_case((4, 3, 3, 3), "PAD", "CONV_2D", pads=[2, 0, 0, 1]),
    "depthwise": conv_case((3, 1, 3, 3), "DEPTHWISE_CONV_2D", group=3, pads=[1, 1, 1, 1]),
    "depthwise, 2 each": conv_case((6, 1, 3, 3), "DEPTHWISE_CONV_2D", group=3, pads=[1, 1, 1, 1]),
    "depthwise dilated": conv_case((3, 1, 3, 3), "DEPTHWISE_CONV_2D", group=3, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "conv transpose 4 by 2": Case(
        (one("ConvTranspose", "image w b", strides=[2, 2], pads=[1, 1, 1, 1]),),
        {"w": weight(3, 4, 4, 4), "b": weight(4)},
        ("TRANSPOSE_CONV",),
    ),
    "conv transpose 2 by 2": Case(
        (one("ConvTranspose", "image w b", strides=[2, 2]),),
        {"w": weight(3, 4, 2, 2), "b": weight(4)},
        ("TRANSPOSE_CONV",),
    ),
    "conv transpose, cut unevenly": Case(
        (one("ConvTranspose", "image w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),),
        {"w": weight(3, 4, 3, 3), "b": weight(4)},
        ("TRANSPOSE_CONV", "SLICE"),
    ),
    "add": after_conv(one("Add", "x y"), ops=("CONV_2D", "CONV_2D", "ADD")),
    "sub": after_conv(one("Sub", "x y"), ops=("CONV_2D", "CONV_2D", "SUB")),
    "mul": after_conv(one("Mul", "x y"), ops=("CONV_2D", "CONV_2D", "MUL")),
    "mul by a number": after_conv(one("Mul", "x k"), constants={"k": f32(0.2)}, ops=("CONV_2D", "MUL")),
    "add per channel": after_conv(one("Add", "x k"), constants={"k": weight(8, 1, 1)}, ops=("CONV_2D", "ADD")),
    "relu fused": after_conv(one("Relu"), ops=("CONV_2D",)),
    "relu6 fused": after_conv(one("Clip", "x lo hi"), constants={"lo": f32(0), "hi": f32(6)}, ops=("CONV_2D",)),
    "clip -1..1 fused": after_conv(one("Clip", "x lo hi"), constants={"lo": f32(-1), "hi": f32(1)}, ops=("CONV_2D",)),
    "clip 0..0.5": after_conv(
        one("Clip", "x lo hi"),
        constants={"lo": f32(0), "hi": f32(0.5)},
        ops=("CONV_2D", "MINIMUM"),
        int8_ops=("CONV_2D",),
    ),
    "clip -0.5..0.2": after_conv(
        one("Clip", "x lo hi"),
        constants={"lo": f32(-0.5), "hi": f32(0.2)},
        ops=("CONV_2D", "MAXIMUM", "MINIMUM"),
        int8_ops=("CONV_2D",),
    ),
    "add and relu": after_conv(("Add", "x y", "z", {}), one("Relu", "z"), ops=("CONV_2D", "CONV_2D", "ADD")),
    "relu with another reader before it": after_conv(
        ("Relu", "x", "r", {}), one("Add", "x r"), ops=("CONV_2D", "RELU", "ADD"), outside_int8=("RELU",)
    ),
    "clip with another reader before it": after_conv(
        ("Clip", "x lo hi", "r", {}),
        one("Add", "x r"),
        constants={"lo": f32(0), "hi": f32(0.5)},
        ops=("CONV_2D", "RELU", "MINIMUM", "ADD"),
        int8_ops=("CONV_2D", "RELU", "ADD"),
        outside_int8=("RELU",),
    ),
    "clip around 0 with another reader before it": after_conv(
        ("Clip", "x lo hi", "r", {}),
        one("Add", "x r"),
        constants={"lo": f32(-0.3), "hi": f32(0.5)},
        ops=("CONV_2D", "MAXIMUM", "MINIMUM", "ADD"),
        int8_ops=("CONV_2D", "QUANTIZE", "ADD"),
        nnapi=30,
    ),
    "clip off 0": after_conv(
        ("Clip", "x lo hi", "r", {}),
        one("Add", "x r"),
        constants={"lo": f32(0.2), "hi": f32(0.5)},
        ops=("CONV_2D", "MAXIMUM", "MINIMUM", "ADD"),
        int8_ops=("CONV_2D", "RELU", "MAXIMUM", "ADD"),
        outside_int8=("MAXIMUM", "RELU"),
    ),
    "leaky relu": after_conv(one("LeakyRelu", alpha=0.05), ops=("CONV_2D", "LEAKY_RELU")),
    "prelu": after_conv(
        one("PRelu", "x k"),
        constants={"k": np.abs(weight(8, 1, 1)) / 4},
        ops=("CONV_2D", "PRELU"),
        outside_int8=("PRELU",),
    ),
    "prelu, one slope": after_conv(
        one("PRelu", "x k"), constants={"k": f32(0.25)}, ops=("CONV_2D", "PRELU"), outside_int8=("PRELU",)
    ),
    "sigmoid": after_conv(one("Sigmoid"), ops=("CONV_2D", "LOGISTIC")),
    "tanh": after_conv(one("Tanh"), ops=("CONV_2D", "TANH")),
}
