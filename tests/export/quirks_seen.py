"""Each runtime on a file that shows one of its quirks: whether the installed version still has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.tensors import Quant
from clearport.graph import nodes as graphs
from clearport.quantize.flow import quantize
from clearport.quantize.qdq import to_qdq
from tests.export import apart
from tests.export.every_target import outcome_of

from .shared_views import shared
from .tflite.harness import PLAIN, Case, after_conv, build, f32, i64, litert, one, onnxruntime, pictures, real, weight

RESIZE = ("Resize", "image  s")
CONV = {"pads": [1, 1, 1, 1]}


def single(sides: tuple[int, int], *node: Any, constants: dict[str, np.ndarray], **attributes: Any) -> bytes:
    """A model of one operator from ``image`` to ``restored``, as no writer has touched it."""
    op, inputs = node
    body = helper.make_graph(
        [helper.make_node(op, inputs.split(" "), ["restored"], "tried", **attributes)],
        "one",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(
        body, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=10
    ).SerializeToString()


def session(model: bytes, *, optimized: bool = False) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def by_openvino(model: bytes, image: np.ndarray, precision: str = "f32") -> np.ndarray:
    import openvino as ov

    core = ov.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": precision})
    result: np.ndarray = compiled(image)[0]
    return result


def noise(sides: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 1, (1, 3, *sides)).astype(np.float32)


def openvino_differs(sides: tuple[int, int], *node: Any, constants: dict[str, np.ndarray], **attributes: Any) -> bool:
    model, image = single(sides, *node, constants=constants, **attributes), noise(sides)
    (wanted,) = session(model).run(None, {"image": image})
    return bool(np.abs(by_openvino(model, image) - wanted).max() > 1e-2)


def _openvino_int8(nodes: tuple[Any, ...], constants: dict[str, np.ndarray]) -> float:
    """The share of numbers of an int8 model, as the table gives it, that OpenVINO computes as it says."""
    made = build(after_conv(*nodes, constants=constants), "height", "width")
    quantized, image = quantize(made, pictures(), PLAIN), real(pictures()[0])
    model = to_qdq(quantized)
    steps = np.abs(by_openvino(graphs.to_bytes(model), image) - onnxruntime(model, image))
    return float((steps < quantized.table.entries["restored"].scale[0] / 2).mean())


def gives_memory_away() -> bool:
    """Whether a file that no writer has touched is far from what ONNX Runtime gives."""
    model, image = build(shared("a product", unsqueezed=True)).model, real(pictures()[0])
    return not np.abs(by_openvino(graphs.to_bytes(model), image) - onnxruntime(model, image)).max() < 1e-2


def leaves_a_rounding_out() -> bool:
    constants = {"w": 2 * weight(8, 8, 3, 3), "v": 2 * weight(8, 8, 3, 3, seed=8), "b": weight(8), "d": weight(8)}
    nodes = (("Conv", "y w b", "a", CONV), ("Conv", "a v d", "c", CONV), one("Add", "c y"))
    return _openvino_int8(nodes, constants) < 0.95


def pads_int8_with_what_is_not_zero() -> bool:
    pooled = ("AveragePool", "a", "p", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1})
    nodes = (("Conv", "y w b", "a", CONV), pooled, one("Add", "p y"))
    return _openvino_int8(nodes, {"w": 2 * weight(8, 8, 3, 3), "b": weight(8)}) < 0.8


def cuts_the_bounds_of_clamps() -> bool:
    """A clamp at 1 with a scale of 3/255, whose level is 84.9999984 in float32."""
    ends = {"s": np.float32(3 / 255), "z": np.uint8(0), "lo": np.float32(1), "hi": np.float32(2)}
    steps = (
        ("QuantizeLinear", "image s z", "q"),
        ("DequantizeLinear", "q s z", "d"),
        ("Clip", "d lo hi", "c"),
        ("QuantizeLinear", "c s z", "cq"),
        ("DequantizeLinear", "cq s z", "restored"),
    )
    model = onnx.load_from_string(single((8, 8), "Identity", "image", constants=ends))
    del model.graph.node[:]
    model.graph.node.extend(helper.make_node(op, inputs.split(" "), [out]) for op, inputs, out in steps)
    image = 3 * noise((8, 8))
    given, (wanted,) = (
        by_openvino(model.SerializeToString(), image),
        session(model.SerializeToString()).run(None, {"image": image}),
    )
    return bool((np.abs(given - wanted) > ends["s"] / 2).mean() > 0.2)


def multiplies_other_numbers() -> bool:
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal(shape, np.float32) for shape in ((1, 64, 8), (1, 8, 8, 8)))
    found = apart.product(left, right, (1, 8, 64))
    return bool(np.abs(found - left @ right.reshape(1, 8, 64)).max() > 0.1)


def refuses_wrap() -> bool:
    with pytest.raises(RuntimeError):
        by_openvino(
            single((7, 5), "Pad", "image n", constants={"n": i64(0, 0, 1, 1, 0, 0, 1, 1)}, mode="wrap"), noise((7, 5))
        )
    return True


def computes_in_brain_float() -> bool:
    import openvino as ov

    if "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bfloat16")
    core = ov.Core()
    model = single((11, 14), "Conv", "image w", constants={"w": weight(8, 3, 3, 3)}, **CONV)
    hint = core.compile_model(core.read_model(model), "CPU").get_property("INFERENCE_PRECISION_HINT")
    return str(hint) != str(ov.Type.f32)


def overflows(found: Callable[[], bool]) -> bool:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    if " avx2 " not in flags or "vnni" in flags:
        pytest.skip("needs an x86 CPU with AVX2 and without VNNI, under Linux")
    return found()


def rounds_a_softmax() -> bool:
    made = build(
        after_conv(
            ("Softmax", "x", "s", {"axis": 1}),
            ("Conv", "s w b", "restored", CONV),
            constants={"w": weight(3, 8, 3, 3), "b": weight(3)},
        )
    )
    quantized = quantize(made, pictures(), PLAIN)
    model = graphs.to_proto(to_qdq(quantized))
    for node in model.graph.node:  # as it was without the guard
        if node.op_type == "Max":
            node.op_type = "Identity"
            del node.input[1:]
    operators = _optimized(model.SerializeToString())
    return "QLinearSoftmax" in operators


def copies_what_keeps_its_size() -> bool:
    image = noise((8, 8))
    model = single((8, 8), *RESIZE, constants={"s": f32(1, 1, 1.1, 1.1)}, mode="cubic")
    (found,) = session(model).run(None, {"image": image})
    return bool(np.array_equal(found, image))


def _optimized(model: bytes) -> set[str]:
    import tempfile

    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level, options.optimized_model_filepath = 4, str(Path(folder, "optimized.onnx"))
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}


def counts_a_window_more() -> bool:
    settings = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1}
    model, image = single((11, 15), "MaxPool", "image", constants={}, **settings), noise((11, 15))
    (wanted,) = session(model).run(None, {"image": image})
    return wanted.shape[2:] == (6, 8) and by_openvino(model, image).shape[2:] != (6, 8)


def ncnn_places(settings: str) -> np.ndarray:
    """Which rows of 25 Interp takes, by a ramp."""
    import tempfile

    import ncnn

    with tempfile.TemporaryDirectory() as folder:
        param = Path(folder, "one.param")
        param.write_text(f"7767517\n2 2\nInput in 0 1 image\nInterp up 1 1 image restored {settings}\n")
        param.with_suffix(".bin").write_bytes(b"")
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.load_param(str(param))
        net.load_model(str(param.with_suffix(".bin")))
        extractor = net.create_extractor()
        ramp = np.arange(25, dtype=np.float32)[None, :, None].repeat(4, 2)
        extractor.input("image", ncnn.Mat(np.ascontiguousarray(ramp)).clone())
        return np.array(extractor.extract("restored")[1])[0, :, 0]


def ncnn_gives(layer: str, *inputs: tuple[float, ...]) -> np.ndarray:
    """What one layer of ncnn makes of vectors of eight."""
    import tempfile

    import ncnn

    names = [f"in{index}" for index in range(len(inputs))]
    kind, settings = layer.split(maxsplit=1)
    lines = [f"Input {name} 0 1 {name}" for name in names]
    lines.append(f"{kind} p {len(names)} 1 {' '.join(names)} restored {settings}")
    with tempfile.TemporaryDirectory() as folder:
        param = Path(folder, "one.param")
        param.write_text("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""]))
        param.with_suffix(".bin").write_bytes(b"")
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.load_param(str(param))
        net.load_model(str(param.with_suffix(".bin")))
        extractor = net.create_extractor()
        for name, numbers in zip(names, inputs, strict=True):
            vector = np.resize(np.array(numbers, np.float32), 8)
            extractor.input(name, ncnn.Mat(vector).clone())
        return np.array(extractor.extract("restored")[1])


def raises_zero() -> bool:
    return bool(np.abs(ncnn_gives("BinaryOp 0=6 1=1 2=2.2", (0.0,))).max() > 1.0)


def raises_what_is_negative_otherwise() -> bool:
    return bool(np.abs(ncnn_gives("BinaryOp 0=6", (-2.0,), (2.0,)) - 4).max() > 1.0)


def places_in_fixed_point() -> bool:
    import tempfile

    node = one("Resize", "image  s", mode="linear", coordinate_transformation_mode="align_corners")
    made = build(Case((node,), {"s": f32(1, 1, 2, 2)}), 25, 35)
    photos = [np.random.default_rng(i).integers(0, 256, (25, 35, 3)).astype(np.uint8) for i in range(2)]
    quantized, image = quantize(made, photos, PLAIN), real(photos[0])
    wanted = onnxruntime(to_qdq(quantized), image)
    with tempfile.TemporaryDirectory() as folder:
        ways = ("tflite without XNNPACK", "tflite")
        found = [outcome_of(way, made, quantized, "int8", image, Path(folder)).picture for way in ways]
    step = quantized.table.entries["restored"].scale[0]
    own, delegate = (np.abs(picture - wanted).max() / step for picture in found if picture is not None)
    assert delegate < 1.5
    return bool(own > 2.5)


LEVELS = np.arange(-128, 128)


def levels_of_litert(scale: float, *operators: tuple[str, int, dict[str, int]]) -> list[np.ndarray]:
    """What int8 files of one operator, each beside a constant of 64 if it takes one, give for rows of every level.

    The output's scale is ``scale``, the input's and that of a sum of columns is 1, and zero is the lowest level.
    """
    found = []
    for op, columns, options in operators:
        file = FlatFile(op)
        source = file.tensor("image", (1, 1, 256 * columns, 1), "int8", Quant((1.0,), -128), ())
        made = file.tensor("restored", (1, 1, 256, 1), "int8", Quant((scale,), -128), ())
        factor = [file.constant("one", np.array([64], np.int8), Quant((1 / 64,)))] if op == "MUL" else []
        file.operator(op, [source, *factor], made, **options)
        data = file.to_bytes({"image": source}, {"restored": made}, {})
        rows = np.stack([LEVELS, np.minimum(LEVELS + 1, 127)][:columns], axis=1)
        found.append(litert(data, rows.astype(np.int8).reshape(1, 1, -1, 1))[0].reshape(-1).astype(int) + 128)
    return found


def rounds_halves_of_averages_away() -> bool:
    pair = {"padding": 1, "strideH": 1, "strideW": 2, "filterHeight": 1, "filterWidth": 2, "fusedActivationFunction": 0}
    (given,) = levels_of_litert(1.0, ("AVERAGE_POOL_2D", 2, pair))
    means = np.stack([LEVELS, np.minimum(LEVELS + 1, 127)]).mean(0) + 128
    off = given - np.rint(means)
    assert np.abs(given - means).max() <= 0.5
    return bool(off[:127].mean() < -0.2 and off[128:].mean() > 0.2)


def changes_scales_in_fixed_point() -> bool:
    """The product with 1 that is written instead gives every level as it should be."""
    scale = 1.992
    quantize_, product = levels_of_litert(scale, ("QUANTIZE", 1, {}), ("MUL", 1, {"fusedActivationFunction": 0}))
    wanted = np.rint((LEVELS + 128) / scale)
    np.testing.assert_array_equal(product, wanted)
    return bool((quantize_ != wanted).mean() > 0.2)
