#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    a Clip between int8 values clamps to its bounds, and what it gives is rounded to the nearest level: with a scale of
#           3/255 the bound 1.0 is level 85 (in float32: 84.9999984).
# Happens:  OpenVINO clamps the levels themselves and cuts the bound to the integer below, 84: all that is clamped is a level off.
#           A bound a hundredth of a level higher gives 85.
# Matters:  curves and attention that clamp at 1.0 (low light, tone mapping) are off by a level wherever they clamp.
# Sources:  https://onnx.ai/onnx/operators/onnx__Clip.html, https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html (rounds);
#           not in OpenVINO's documentation.
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

scale = np.float32(3 / 255)
x = np.linspace(0, 3, 16, dtype=np.float32).reshape(1, 1, 4, 4)

def levels(low):
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
    constants = {"s": scale, "z": np.uint8(0), "low": np.float32(low), "high": np.float32(3)}
    steps = [("QuantizeLinear", "x s z", "q"), ("DequantizeLinear", "q s z", "d"), ("Clip", "d low high", "c"),
             ("QuantizeLinear", "c s z", "cq"), ("DequantizeLinear", "cq s z", "y")]
    graph = helper.make_graph([helper.make_node(op, given.split(), [made]) for op, given, made in steps], "net",
        [info("x")], [info("y")], [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    both = ort.InferenceSession(content).run(None, {"x": x})[0], compiled(x)[0]
    return [np.rint(y.ravel() / scale).astype(int) for y in both]

for low in (1.0, 1.0 + scale / 100):
    runtime, openvino = levels(low)
    print(f"Clip at {low:.6f}: ONNX Runtime {runtime[:7]}  OpenVINO {openvino[:7]}")
    assert runtime.min() == 85
    assert openvino.min() == (84 if low == 1.0 else 85), "the bound used to be cut"
PY
