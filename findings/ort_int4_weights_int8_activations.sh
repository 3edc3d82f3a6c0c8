#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), onnx 1.23.2
# Guess:    a weight-only model (int4 weights, DequantizeLinear, float32 MatMul) computes in float32 in a default session: the
#           activations have no scale, so they cannot be quantized.
# Happens:  a default session turns DequantizeLinear and MatMul into MatMulNBits with accuracy level 4, which quantizes the
#           activations to int8 block by block while it runs: 149 dB to the exact product become 60 dB.
#           session.qdq_matmulnbits_accuracy_level=1 brings float32 back.
# Matters:  the accuracy of "int4 weights, float activations" is measured with 8-bit activations; models that are compared with
#           another runtime's float32 differ with no quantizer in the graph to blame.
# Sources:  the default is only in onnxruntime/core/session/onnxruntime_session_options_config_keys.h; what the levels mean is in
#           docs/ContribOperators.md (MatMulNBits), where the operator's own default is another: 0.
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

K, N, BLOCK = 256, 64, 32
rng = np.random.default_rng(0)
weights = rng.integers(-8, 8, (K, N))
scales = rng.uniform(0.005, 0.015, (K // BLOCK, N)).astype(np.float32)
x = rng.normal(0, 1, (1, 100, K)).astype(np.float32)
x[..., 0] *= 30  # one large channel, as after a LayerNorm
info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
graph = helper.make_graph(
    [helper.make_node("DequantizeLinear", ["w", "s"], ["wd"], axis=0, block_size=BLOCK),
     helper.make_node("MatMul", ["x", "wd"], ["y"])],
    "net", [info("x", x.shape)], [info("y", [1, 100, N])],
    [helper.make_tensor("w", TensorProto.INT4, [K, N], weights.ravel().tolist()), numpy_helper.from_array(scales, "s")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
checker.check_model(model, full_check=True)
exact = x.astype(np.float64) @ (weights.reshape(K // BLOCK, BLOCK, N) * scales[:, None].astype(np.float64)).reshape(K, N)

def decibel(level=None, optimize=True):
    options = ort.SessionOptions()
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if level:
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", level)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return 10 * np.log10(np.ptp(exact) ** 2 / np.mean((session.run(None, {"x": x})[0] - exact) ** 2))

plain, default, float32 = decibel(optimize=False), decibel(), decibel("1")
print(f"to float64: unoptimized {plain:.0f} dB, default session {default:.0f} dB, accuracy level 1 {float32:.0f} dB")
assert plain > 120 and float32 > 120, "float32 used to be there for the asking"
assert 35 < default < 80, "the default session used to quantize the activations"
PY
