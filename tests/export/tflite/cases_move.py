"""Cases of TFLite's rules: moving pixels, pooling and resizing."""

from __future__ import annotations

from .harness import Case, after_conv, f32, i64, one, weight

MOVE: dict[str, Case] = {
    "concat": after_conv(one("Concat", "x y", axis=1), ops=("CONV_2D", "CONV_2D", "CONCATENATION")),
    "concat of rows": after_conv(one("Concat", "x y", axis=2), ops=("CONV_2D", "CONV_2D", "CONCATENATION")),
    "slice channels": after_conv(
        one("Slice", "x a b c"), constants={"a": i64(2), "b": i64(6), "c": i64(1)}, ops=("CONV_2D", "SLICE")
    ),
    "slice rows and columns": after_conv(
        one("Slice", "x a b c"),
        constants={"a": i64(1, -5), "b": i64(-2, 2**62), "c": i64(2, 3)},
        ops=("CONV_2D", "SLICE"),
    ),
    "slice every second": after_conv(
        one("Slice", "x a b c d"),
        constants={"a": i64(1), "b": i64(2**62), "c": i64(3), "d": i64(2)},
        ops=("CONV_2D", "STRIDED_SLICE"),
        outside=("STRIDED_SLICE",),
    ),
    "pad": after_conv(one("Pad", "x p"), constants={"p": i64(0, 0, 1, 2, 0, 0, 3, 0)}, ops=("CONV_2D", "PAD")),
    "pad with a number": after_conv(
        one("Pad", "x p k"),
        constants={"p": i64(0, 0, 1, 2, 0, 0, 3, 0), "k": f32(0.25).reshape(())},
        ops=("CONV_2D", "PADV2"),
        outside=("PADV2",),
    ),
    "max pool": after_conv(one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), ops=("CONV_2D", "MAX_POOL_2D")),
    "max pool 3 by 1": after_conv(
        one("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), ops=("CONV_2D", "MAX_POOL_2D")
    ),
    "max pool, pads of PyTorch": after_conv(
        one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        ops=("CONV_2D", "PADV2", "MAX_POOL_2D"),
        outside=("PADV2",),
    ),
    "average pool": after_conv(
        one("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
        ops=("CONV_2D", "AVERAGE_POOL_2D"),
        outside_int8=("AVERAGE_POOL_2D",),
        min_exact=0.8,  # a mean of four is often a tie, and the two round ties differently
    ),
    "average pool, pads counted": after_conv(
        one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        ops=("CONV_2D", "PAD", "AVERAGE_POOL_2D"),
        outside_int8=("AVERAGE_POOL_2D",),
    ),
    "average pool, pads left out": after_conv(
        one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        ops=("CONV_2D", "AVERAGE_POOL_2D"),
        outside_int8=("AVERAGE_POOL_2D",),
        min_exact=0.95,  # ties again, at the corners
    ),
    "channel attention": after_conv(
        ("GlobalAveragePool", "x", "g", {}),
        ("Conv", "g wg bg", "h", {}),
        ("Sigmoid", "h", "s", {}),
        one("Mul", "x s"),
        constants={"wg": weight(8, 8, 1, 1), "bg": weight(8)},
        ops=("CONV_2D", "MEAN", "CONV_2D", "LOGISTIC", "MUL"),
        nnapi=None,
    ),
    "resize nearest": after_conv(
        one("Resize", "x  s", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        constants={"s": f32(1, 1, 2, 2)},
        ops=("CONV_2D", "RESIZE_NEAREST_NEIGHBOR"),
        outside=("RESIZE_NEAREST_NEIGHBOR",),
    ),
    "resize nearest, half pixel": after_conv(
        one("Resize", "x  s", mode="nearest"),
        constants={"s": f32(1, 1, 3, 3)},
        ops=("CONV_2D", "RESIZE_NEAREST_NEIGHBOR"),
        outside=("RESIZE_NEAREST_NEIGHBOR",),
    ),
    "resize bilinear": after_conv(
        one("Resize", "x  s", mode="linear"),
        constants={"s": f32(1, 1, 2, 2)},
        ops=("CONV_2D", "RESIZE_BILINEAR"),
        min_exact=0.8,
        nnapi=30,
    ),
    "resize bilinear to a size": after_conv(
        one("Resize", "x   n", mode="linear", coordinate_transformation_mode="align_corners"),
        constants={"n": i64(1, 8, 17, 9)},
        ops=("CONV_2D", "RESIZE_BILINEAR"),
        min_exact=0.8,
        nnapi=30,
    ),
    "depth to space": after_conv(one("DepthToSpace", blocksize=2, mode="DCR"), ops=("CONV_2D", "DEPTH_TO_SPACE")),
    "space to depth": after_conv(one("SpaceToDepth", blocksize=2), ops=("CONV_2D", "SPACE_TO_DEPTH")),
}
