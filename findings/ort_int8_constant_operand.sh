#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), onnx 1.23.2
# Guess:    A constant operand of an Add or Mul may be int8 beside uint8 activations, as the weights of a convolution may.
# Happens:  ONNX Runtime then fuses nothing: both operands are dequantized, the sum is computed in float and quantized again. With the
#           same levels stored as uint8 around 128 it is one QLinearAdd or QLinearMul, with the same result.
# Matters:  Quantizers store constants as symmetric int8; attention and per-channel scales (x * s, x + b) of an "int8" network then run
#           in float, without a warning. The whole of a network with a dozen of them took 7 % longer.
# Sources:  https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html says nothing of the types of constants.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

levels = np.arange(-3, 5, dtype=np.int8).reshape(1, 8, 1, 1)
stored = {"int8": (levels, np.int8(0)), "uint8": ((levels.astype(np.int16) + 128).astype(np.uint8), np.uint8(128))}
picture = np.random.default_rng(0).integers(0, 256, (1, 8, 16, 16), np.uint8)


def model(operator, kind):
    constant, zero = stored[kind]
    constants = {"xs": np.float32(0.02), "xz": np.uint8(7), "c": constant, "cs": np.float32(0.1), "cz": zero}
    constants |= {"ys": np.float32(0.03), "yz": np.uint8(99)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xr"]),
        helper.make_node("DequantizeLinear", ["c", "cs", "cz"], ["cr"]),
        helper.make_node(operator, ["xr", "cr"], ["yr"]),
        helper.make_node("QuantizeLinear", ["yr", "ys", "yz"], ["y"]),
    ]
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.UINT8, picture.shape)
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", [info("x")], [info("y")], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    checker.check_model(made, full_check=True)
    return made


def run(operator, kind):
    options = ort.SessionOptions()
    options.optimized_model_filepath = "optimized.onnx"
    options.log_severity_level = 3
    session = ort.InferenceSession(model(operator, kind).SerializeToString(), options, providers=["CPUExecutionProvider"])
    kernels = [node.op_type for node in onnx.load("optimized.onnx").graph.node]
    print(f"{operator}, constant {kind:5s}: {', '.join(kernels)}")
    return kernels, session.run(None, {"x": picture})[0]


print("onnxruntime", ort.__version__)
for operator in ("Add", "Mul"):
    (apart, first), (fused, second) = run(operator, "int8"), run(operator, "uint8")
    assert operator in apart and f"QLinear{operator}" not in apart, "it fuses int8 constants now"
    assert fused == [f"QLinear{operator}"]
    np.testing.assert_array_equal(first, second)
PY
