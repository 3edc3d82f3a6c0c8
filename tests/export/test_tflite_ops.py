"""Every TFLite rule: a tiny graph, run by LiteRT, against ONNX Runtime on the same graph, in float and in int8."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport import graphs
from clearport.base import Graph, Options, Size, TensorSpec, UnsupportedOperator
from clearport.export import lint_nnapi
from clearport.export.tflite_rules import rules
from clearport.export.to_tflite import emit
from clearport.quantize.flow import QuantizeOptions, quantize
from clearport.quantize.qdq import to_qdq

HEIGHT, WIDTH = 10, 12
RANGE = (0.0, 2.0)
SEED = 7
PLAIN = QuantizeOptions(equalisation=(0.0,), search=False, compensate=False)
"""Min-max ranges and rounding to nearest: what is tested here is the file, not how good its scales are."""


def weight(*shape: int, seed: int = SEED) -> np.ndarray:
    """Random weights that keep values in the order of one."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return (numbers / max(np.sqrt(np.prod(shape[1:])), 1)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A graph from ``image`` (1, 3, H, W) to ``restored``: nodes as (operator, inputs, output, attributes).

    ``ops`` is what the fp32 file must hold, ``outside`` what XNNPACK leaves to TFLite's kernels in fp32 and int8;
    ``int8_ops`` where it differs from ``ops``; ``min_exact`` the share of equal numbers against the QDQ model.
    """

    nodes: tuple[tuple[str, str, str, dict[str, Any]], ...]
    constants: dict[str, Any] = field(default_factory=dict)
    ops: tuple[str, ...] = ()
    int8_ops: tuple[str, ...] | None = None
    outside: tuple[str, ...] = ()
    outside_int8: tuple[str, ...] | None = None
    min_exact: float = 0.98
    nnapi: int | None = 29


def conv_case(shape: tuple[int, ...], *ops: str, **attributes: Any) -> Case:
    """One convolution of the image."""
    constants = {"w": weight(*shape), "b": weight(shape[0], seed=8)}
    return Case((("Conv", "image w b", "restored", attributes),), constants, ops or ("CONV_2D",))


def after_conv(
    *nodes: tuple[str, str, str, dict[str, Any]],
    channels: int = 8,
    constants: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    """Nodes behind a convolution that makes features ``x`` (and ``y``, from another)."""
    first = [("Conv", "image wx bx", "x", {"pads": [1, 1, 1, 1]})]
    made = {"wx": weight(channels, 3, 3, 3), "bx": weight(channels, seed=9)}
    if any("y" in node[1].split() for node in nodes):
        first.append(("Conv", "image wy by", "y", {"pads": [1, 1, 1, 1]}))
        made |= {"wy": weight(channels, 3, 3, 3, seed=10), "by": weight(channels, seed=11)}
    return Case((*first, *nodes), made | (constants or {}), **more)


def one(op: str, inputs: str = "x", **attributes: Any) -> tuple[str, str, str, dict[str, Any]]:
    """The last node."""
    return op, inputs, "restored", attributes


def f32(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


CASES: dict[str, Case] = {
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
    "leaky relu": after_conv(one("LeakyRelu", alpha=0.05), ops=("CONV_2D", "LEAKY_RELU"), min_exact=0.6),
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


def build(case: Case, height: int | str = HEIGHT, width: int | str = WIDTH) -> Graph:
    """The case as a checked graph."""
    nodes = [
        onnx.helper.make_node(op, inputs.split(" "), [output], name=f"{op}_{output}", **attributes)
        for op, inputs, output, attributes in case.nodes
    ]
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, (1, 3, height, width))
    restored = onnx.helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, None)
    constants = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in case.constants.items()]
    proto = onnx.helper.make_graph(nodes, "case", [image], [restored], constants)
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    specs = [TensorSpec(name, (1, 3, height, width), value_range=RANGE) for name in ("image", "restored")]
    return graphs.check(Graph(ir.from_proto(onnx.shape_inference.infer_shapes(model)), specs[0], specs[1], "case", 1))


def pictures(count: int = 3) -> list[np.ndarray]:
    return [np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8) for i in range(count)]


def real(picture: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) float32 in RANGE."""
    levels = picture.astype(np.float32) / 255 * (RANGE[1] - RANGE[0]) + RANGE[0]
    return np.ascontiguousarray(levels.transpose(2, 0, 1)[None], np.float32)


def onnxruntime(model: ir.Model, image: np.ndarray) -> np.ndarray:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(graphs.to_bytes(model), options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"image": image})
    return np.asarray(output)


def litert(data: bytes, image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Output and facts of a file on an NHWC image."""
    from ai_edge_litert.interpreter import Interpreter

    from clearport.runtime.tflite_session import TfliteSession

    session = TfliteSession(Interpreter(model_content=data, num_threads=1))
    return session.run({"image": image})["restored"], session.facts()


def report(data: bytes, folder: Path) -> lint_nnapi.NnapiReport:
    path = folder / "case.tflite"
    path.write_bytes(data)
    return lint_nnapi.lint(path)


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


SIZE = Size(HEIGHT, WIDTH)


@pytest.mark.parametrize("name", CASES)
def test_fp32_is_what_onnx_runtime_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    graph = build(case)
    data, _, result = emit(graph, None, "fp32", Options(SIZE, "float32"))
    image = real(pictures()[0])
    given, facts = litert(data, nhwc(image))
    wanted = nhwc(onnxruntime(graph.model, image))
    assert given.shape == wanted.shape == result.shape
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, wanted, atol=1e-4, rtol=1e-4)
    found = report(data, tmp_path)
    assert tuple(f.op for f in found.findings) == case.ops
    assert tuple(facts["operators_outside"]) == case.outside
    assert found.api_level is not None, found.refused(31)


@pytest.mark.parametrize("name", CASES)
def test_int8_is_what_the_qdq_model_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    graph = build(case)
    quantized = quantize(graph, pictures(), PLAIN)
    data, source, result = emit(graph, quantized, "int8", Options(SIZE, "int8"))
    assert (source.dtype, source.zero_point, result.dtype) == ("int8", -128, "int8")
    picture = pictures()[0]
    given, facts = litert(data, (picture[None].astype(np.int16) - 128).astype(np.int8))
    wanted = onnxruntime(to_qdq(quantized, activations="uint8", io="uint8"), picture.transpose(2, 0, 1)[None])
    steps = np.abs(given.astype(int) + 128 - nhwc(wanted))
    assert steps.max() <= 3
    assert (steps == 0).mean() >= case.min_exact
    assert facts["executed_precision"] == "int8"
    found = report(data, tmp_path)
    assert tuple(f.op for f in found.findings) == (case.int8_ops or case.ops)
    assert tuple(facts["operators_outside"]) == (case.outside if case.outside_int8 is None else case.outside_int8)
    assert found.api_level == case.nnapi, found.refused(31)


@pytest.mark.parametrize("name", CASES)
def test_fp16_is_fp32_to_its_precision(name: str) -> None:
    graph = build(CASES[name])
    data, _, _ = emit(graph, None, "fp16", Options(SIZE, "float32"))
    image = real(pictures()[0])
    given, _ = litert(data, nhwc(image))
    np.testing.assert_allclose(given, nhwc(onnxruntime(graph.model, image)), atol=4e-3)


FIXED = {"ConvTranspose", "Resize"}
"""Operators whose output size TFLite wants as a constant."""


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_free_size_gives_the_same_at_another_size(name: str) -> None:
    case = CASES[name]
    graph = build(case, "H", "W")
    if FIXED & {node[0] for node in case.nodes} or name == "slice rows and columns":
        with pytest.raises(UnsupportedOperator, match="give --size HEIGHTxWIDTH"):
            emit(graph, None, "fp32", Options(None, "float32"))
        return
    data, _, _ = emit(graph, None, "fp32", Options(None, "float32"))
    image = np.random.default_rng(3).uniform(*RANGE, (1, 3, 16, 22)).astype(np.float32)
    given, _ = litert(data, nhwc(image))
    np.testing.assert_allclose(given, nhwc(onnxruntime(graph.model, image)), atol=1e-4, rtol=1e-4)


def test_every_rule_has_a_case() -> None:
    assert {node[0] for case in CASES.values() for node in case.nodes} == set(rules())


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    depthwise=st.booleans(),
)
def test_any_window_of_a_convolution(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, ...],
    depthwise: bool,
) -> None:
    attributes = {"strides": strides, "dilations": dilations, "pads": pads} | ({"group": 3} if depthwise else {})
    graph = build(conv_case((3, 1 if depthwise else 3, *kernel), **attributes))
    data, _, _ = emit(graph, None, "fp32", Options(SIZE, "float32"))
    image = real(pictures()[0])
    given, _ = litert(data, nhwc(image))
    np.testing.assert_allclose(given, nhwc(onnxruntime(graph.model, image)), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    extra=st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
def test_any_transposed_convolution(kernel: int, stride: int, pads: tuple[int, ...], extra: tuple[int, int]) -> None:
    extra = tuple(min(e, stride - 1, after) for e, after in zip(extra, pads[2:], strict=True))
    node = one("ConvTranspose", "image w b", strides=[stride] * 2, pads=pads, output_padding=list(extra))
    graph = build(Case((node,), {"w": weight(3, 2, kernel, kernel), "b": weight(2)}))
    data, _, _ = emit(graph, None, "fp32", Options(SIZE, "float32"))
    image = real(pictures()[0])
    given, _ = litert(data, nhwc(image))
    np.testing.assert_allclose(given, nhwc(onnxruntime(graph.model, image)), atol=1e-4)


REFUSED = {
    "no rule": (Case((one("Erf", "image"),)), "no rule"),
    "grouped": (
        after_conv(one("Conv", "x w b", group=2), constants={"w": weight(8, 4, 1, 1), "b": weight(8)}),
        "grouped convolution",
    ),
    "CRD": (after_conv(one("DepthToSpace", blocksize=2, mode="CRD")), "DCR only"),
    "reflect": (
        after_conv(one("Pad", "x p", mode="reflect"), constants={"p": i64(0, 0, 1, 1, 0, 0, 1, 1)}),
        "pads with a constant",
    ),
    "ceil": (after_conv(one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)), "ceil_mode"),
    "cubic": (after_conv(one("Resize", "x  s", mode="cubic"), constants={"s": f32(1, 1, 2, 2)}), "mode cubic"),
    "nearest, halved": (
        after_conv(one("Resize", "x  s", mode="nearest", nearest_mode="ceil"), constants={"s": f32(1, 1, 0.6, 0.6)}),
        "places the pixels otherwise",
    ),
    "backwards": (
        after_conv(one("Slice", "x a b c d"), constants={"a": i64(9), "b": i64(-(2**62)), "c": i64(2), "d": i64(-1)}),
        "only steps forward",
    ),
    "average": (
        after_conv(one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
        "not counted",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_tflite_has_not_is_refused_with_its_reason(name: str) -> None:
    case, reason = REFUSED[name]
    graph = build(case)
    with pytest.raises(UnsupportedOperator, match=reason) as caught:
        emit(graph, None, "fp32", Options(SIZE, "float32"))
    assert caught.value.op == case.nodes[-1][0]
    assert caught.value.layer == f"{caught.value.op}_restored"
