#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), onnx 1.23.2
# Guess:    a Softmax between DequantizeLinear and QuantizeLinear gives the float result rounded to 8 bits; a default session is
#           at most a step away from a session without optimizations.
# Happens:  a default session replaces the three by QLinearSoftmax, whose table of exponentials runs out of room when the input's
#           scale is small and the row is long: over 4096 entries with a spread of 0.1 (attention over 64x64 positions whose
#           logits are nearly equal) results are off by up to the whole range, and 40 dB are lost. At a spread of 1 all is well.
# Matters:  an int8 attention that was tuned on short rows, or proven without optimizations, breaks at a larger picture.
# Sources:  docs/ContribOperators.md of ONNX Runtime (QLinearSoftmax) names no limit; the table is built in
#           onnxruntime/contrib_ops/cpu/quantization/qlinear_softmax.cc; the quantization page calls fused and unfused equivalent
#           in format only (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

SHAPE = (1, 1, 8, 4096)

def model(in_scale, out_scale):
    node, info = helper.make_node, lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)
    constants = {"xs": np.float32(in_scale), "xz": np.uint8(128), "ys": np.float32(out_scale), "yz": np.uint8(0)}
    graph = helper.make_graph(
        [node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]), node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
         node("Softmax", ["xd"], ["s"], axis=-1),
         node("QuantizeLinear", ["s", "ys", "yz"], ["sq"]), node("DequantizeLinear", ["sq", "ys", "yz"], ["y"])],
        "net", [info("x")], [info("y")], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made.SerializeToString()

def run(content, level, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]

def psnr(a, b):
    return 10 * np.log10(np.ptp(b) ** 2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-30))

results = {}
for spread in (0.1, 1.0):
    x = np.random.default_rng(0).normal(0, spread, SHAPE).astype(np.float32)
    e = np.exp(x - x.max(-1, keepdims=True))
    exact = e / e.sum(-1, keepdims=True)
    content = model(np.abs(x).max() / 127, exact.max() / 255)
    plain = run(content, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, x)
    default = run(content, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, x)
    steps = np.abs(default - plain).max() / (exact.max() / 255)
    results[spread] = psnr(plain, exact), psnr(default, exact), steps
    print(f"spread {spread}: unoptimized {results[spread][0]:.1f} dB, default {results[spread][1]:.1f} dB to float; "
          f"largest difference {steps:.0f} of 255 steps")
assert results[0.1][0] > 45 and results[0.1][1] < 25 and results[0.1][2] > 100, "flat rows used to lose 40 dB"
assert abs(results[1.0][0] - results[1.0][1]) < 3 and results[1.0][2] < 2, "other rows used to agree"
PY
