#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), openvino 2026.4.1 (CPU), onnx 1.23.2
# Guess:    Cast from float to INT4 cuts the fraction off, as Cast to INT8, INT32 or INT64 does.
# Happens:  ONNX Runtime and OpenVINO round it (halves away from zero: 2.5 becomes 3, and QuantizeLinear would give 2), while
#           Cast to INT8 in the same sessions cuts. onnx's reference evaluator cuts for both.
# Matters:  int4 indices, thresholds and packed weights made by Cast differ by one step from the reference and from the same graph
#           in INT8; a model that is moved from 8 to 4 bits changes its rounding rule with its type.
# Sources:  https://onnx.ai/onnx/operators/onnx__Cast.html says nothing about the fraction, for any integer type.
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
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

x = np.array([0.25, 0.75, 1.25, 1.5, 2.5, 3.75, -0.75, -2.5], np.float32)

def model(kind):
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
    nodes = [helper.make_node("Cast", ["x"], ["q"], to=kind), helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT)]
    made = helper.make_model(helper.make_graph(nodes, "net", [info("x")], [info("y")]),
                             opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made

runs = {
    "reference evaluator": lambda m: ReferenceEvaluator(m).run(None, {"x": x})[0],
    "ONNX Runtime": lambda m: ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0],
    "OpenVINO": lambda m: ov.Core().compile_model(ov.Core().read_model(m.SerializeToString()), "CPU")(x)[0],
}
cut, rounded = np.trunc(x), np.trunc(x + np.copysign(0.5, x))
print("x                        ", x)
for name, run in runs.items():
    for kind in ("INT8", "INT4"):
        y = run(model(getattr(TensorProto, kind)))
        print(f"{name:19s} {kind} ", y)
        rounds = kind == "INT4" and name != "reference evaluator"
        np.testing.assert_array_equal(y, rounded if rounds else cut, f"{name}, {kind}")
PY
