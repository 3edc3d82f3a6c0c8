#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1, openvino 2026.4.1
# Guess:    checker.check_model(full_check=True), which runs strict shape inference, refuses a convolution whose weights do
#           not fit its input; at the latest creating an ONNX Runtime session does.
# Happens:  both accept it: 5 input channels in the weights, 4 in the tensor; a DepthToSpace by 3 of 4 channels; a Reshape of 256
#           values to 320. All shapes are constants in the file. ONNX Runtime says so at the first run, OpenVINO when it
#           compiles.
# Matters:  "checks and loads" is the smoke test of most export scripts, also for files that a rewrite has broken.
# Sources:  https://onnx.ai/onnx/api/checker.html (full_check: also runs shape inference) and docs/ShapeInference.md, where strict
#           mode promises an error for wrong shapes.
set -euo pipefail
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

ort.set_default_logger_severity(4)
cases = {
    "Conv, 5 channels of weights on 4": (helper.make_node("Conv", ["x", "c"], ["y"]), np.zeros((3, 5, 1, 1), np.float32)),
    "DepthToSpace by 3 of 4 channels": (helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=3), None),
    "Reshape of 256 values to 320": (helper.make_node("Reshape", ["x", "c"], ["y"]), np.array([1, 5, 8, 8], np.int64)),
}

def accepted(action):
    try:
        action()
    except Exception as error:
        return f"refused ({type(error).__name__})"
    return "accepted"

for name, (node, constant) in cases.items():
    graph = helper.make_graph([node], "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
                              [] if constant is None else [numpy_helper.from_array(constant, "c")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content = model.SerializeToString()
    x = np.zeros((1, 4, 8, 8), np.float32)
    said = {"checker": accepted(lambda: checker.check_model(model, full_check=True)),
            "session": accepted(lambda: ort.InferenceSession(content)),
            "first run": accepted(lambda: ort.InferenceSession(content).run(None, {"x": x})),
            "OpenVINO": accepted(lambda: ov.Core().compile_model(ov.Core().read_model(content), "CPU"))}
    print(name, said)
    assert said["checker"] == said["session"] == "accepted", "it used to be accepted"
    assert said["first run"] != "accepted" and said["OpenVINO"] != "accepted"
PY
