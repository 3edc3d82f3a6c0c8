#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    an AveragePool between DequantizeLinear and QuantizeLinear that counts its padding (count_include_pad=1) gives
#           the float result in 8 bits: padding is a real zero.
# Happens:  OpenVINO pools the uint8 values and pads with the byte 0, which stands for minus zero point times scale. With a zero
#           point of 37 the border is 21 of 255 steps off, with a zero point of 0 nothing is. ONNX Runtime is right for both.
# Matters:  activations with negative values (leaky ReLU, residuals) have such zero points; the fault is a frame around the picture
#           that grows with the zero point, and the same network calibrated on other images does not have it.
# Sources:  https://onnx.ai/onnx/operators/onnx__AveragePool.html; OpenVINO's page on low-precision transformations
#           (AvgPoolTransformation) names no condition on padding.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen with the kernels for x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, checker, helper, numpy_helper

SCALE = 0.004
x = np.random.default_rng(0).uniform(0, 0.8, (1, 8, 9, 9)).astype(np.float32)

def run(zero_point, count):
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
    node, constants = helper.make_node, {"s": np.float32(SCALE), "z": np.uint8(zero_point)}
    graph = helper.make_graph(
        [node("QuantizeLinear", ["x", "s", "z"], ["xq"]), node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
         node("AveragePool", ["xd"], ["p"], kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=count),
         node("QuantizeLinear", ["p", "s", "z"], ["pq"]), node("DequantizeLinear", ["pq", "s", "z"], ["y"])],
        "net", [info("x")], [info("y")], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model.SerializeToString()
    want = ort.InferenceSession(content, options).run(None, {"x": x})[0]
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    steps = [np.abs(y - want) / SCALE for y in (ort.InferenceSession(content).run(None, {"x": x})[0], compiled(x)[0])]
    print(f"zero point {zero_point:2d}, padding {'counted' if count else 'not counted'}: largest difference in steps: "
          f"ONNX Runtime {steps[0].max():.0f}, OpenVINO {steps[1].max():.0f} (inside {steps[1][..., 1:-1, 1:-1].max():.0f})")
    return steps

for zero_point, count in ((0, 1), (37, 0), (37, 1)):
    runtime, openvino = run(zero_point, count)
    assert runtime.max() < 1.5 and openvino[..., 1:-1, 1:-1].max() < 1.5
    if zero_point and count:
        assert openvino.max() > 10, "the border used to be off"
    else:
        assert openvino.max() < 1.5
PY
