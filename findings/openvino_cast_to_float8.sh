#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    Cast to float8 saturates, as its attribute "saturate" says by default: 480 becomes 448 in E4M3.
# Happens:  in OpenVINO 480 becomes NaN, and 1e5 becomes infinity in E5M2: the rule of saturate=0. QuantizeLinear to the same types
#           saturates there. Cast to float8e8m0 (the scales of MX blocks) ignores round_mode, which rounds up by default: 1.25
#           becomes 1, not 2.
# Matters:  float8 is the newest way to make files small, and one outlier makes a NaN that spreads over the picture; a smaller block
#           scale makes every block's largest value overflow its element type.
# Sources:  https://onnx.ai/onnx/operators/onnx__Cast.html (tables of both rules, round_mode since opset 24).
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

def both(kind, values, quantize=False):
    x = np.array(values, np.float32)
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
    if quantize:
        nodes = [helper.make_node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=kind), helper.make_node("DequantizeLinear", ["q", "s"], ["y"])]
    else:
        nodes = [helper.make_node("Cast", ["x"], ["q"], to=kind), helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT)]
    graph = helper.make_graph(nodes, "net", [info("x")], [info("y")], [numpy_helper.from_array(np.float32(1), "s")] if quantize else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=12)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    runtime, openvino = ort.InferenceSession(content).run(None, {"x": x})[0], compiled(x)[0]
    print(f"{TensorProto.DataType.Name(kind):13s} {'QuantizeLinear' if quantize else 'Cast':14s} of {values}: ONNX Runtime {runtime}, OpenVINO {openvino}")
    return runtime, openvino

nan, inf = np.nan, np.inf
for kind, values, top, beyond in ((TensorProto.FLOAT8E4M3FN, [100.0, 480.0, 1e5], 448, nan), (TensorProto.FLOAT8E5M2, [100.0, 57344.0, 1e5], 57344, inf)):
    runtime, openvino = both(kind, values)
    assert runtime[2] == top
    np.testing.assert_equal(float(openvino[2]), beyond, "OpenVINO's Cast used not to saturate")
    assert openvino[0] == runtime[0] == 96
    assert both(kind, values, quantize=True)[1][2] == top, "its QuantizeLinear used to saturate"
runtime, openvino = both(TensorProto.FLOAT8E8M0, [1.25, 2.5, 5.0, 3.5])
np.testing.assert_array_equal(runtime, [2, 4, 8, 4])
np.testing.assert_array_equal(openvino, [1, 2, 4, 4], "OpenVINO used to round to nearest")
PY
