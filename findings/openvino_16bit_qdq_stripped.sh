#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    int16 and uint16 QuantizeLinear and DequantizeLinear (opset 21), where OpenVINO has no kernels, run as what they are in
#           real numbers: rounding to 65536 levels, and saturation at the ends of the range.
# Happens:  OpenVINO strips them between two layers. Nothing is rounded, and nothing saturates: with a scale of 1/65535, whose
#           range is 0..1, values of -3 and 7 pass through. uint8 saturates.
# Matters:  quantizers fold Relu, Relu6 and Clip into the output range of the layer before; in a 16-bit file such a clamp is gone
#           without a word, here only.
# Sources:  https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html (saturates); the pass is
#           src/common/low_precision_transformations/src/qdq_stripping.cpp of OpenVINO, not in its documentation.
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

x = np.array([-3, -0.5, 0.3, 0.9, 1.5, 7], np.float32).reshape(1, 3, 1, 2)

def both(kind):
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
    constants = {"w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "s": np.float32(1 / np.iinfo(kind).max), "z": kind(0)}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"]),
         helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]), helper.make_node("Conv", ["d", "w"], ["y"])],
        "net", [info("x")], [info("y")], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ort.InferenceSession(content).run(None, {"x": x})[0].ravel(), compiled(x)[0].ravel()

print("two convolutions by one, input ", x.ravel())
for kind in (np.uint8, np.uint16, np.int16):
    runtime, openvino = both(kind)
    print(f"{kind.__name__:6s} ONNX Runtime {runtime.round(3)}  OpenVINO {openvino.round(3)}")
    low = -1 if kind is np.int16 else 0
    assert np.abs(runtime - x.ravel().clip(low, 1)).max() < 0.01
    if kind is np.uint8:
        assert np.abs(openvino - x.ravel().clip(0, 1)).max() < 0.01
    else:
        np.testing.assert_allclose(openvino, x.ravel(), rtol=1e-5, err_msg="the pair used to be stripped")
PY
