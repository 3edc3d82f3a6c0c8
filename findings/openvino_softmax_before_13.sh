#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    up to operator set 12 Softmax flattens its input to a matrix at ``axis`` (1 if not given) and normalizes its rows; a
#           reader that takes such models does that, as ONNX Runtime does and as OpenVINO does for operator sets 1 to 10.
# Happens:  for operator sets 11 and 12 OpenVINO normalizes along the one axis, the meaning of operator set 13. LogSoftmax and
#           Hardmax of the same operator sets are right, and so is Softmax along the last axis. onnx's reference evaluator has the
#           new meaning for all three, whatever the operator set; its version converter keeps the old one of Softmax and LogSoftmax.
# Matters:  operator set 11 was the exporters' default for years. Weights of an attention over all pixels of a channel sum to 1
#           for each column instead of for the picture: they are as many times too large as there are columns.
# Sources:  https://onnx.ai/onnx/operators/onnx__Softmax.html (version 11: "coerced into 2D"; version 13 is another definition).
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, checker, helper, reference, version_converter

x = np.random.default_rng(0).random((1, 3, 4, 5)).astype(np.float32)

def made(op, opset, axis):
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    node = helper.make_node(op, ["x"], ["y"], **({} if axis is None else {"axis": axis}))
    graph = helper.make_graph([node], "net", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
    checker.check_model(model, full_check=True)
    return model

def by_ort(model):
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]

def by_openvino(model):
    core = ov.Core()
    return np.array(core.compile_model(core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])[0])

def defined(op, axis):
    rows = x.reshape(int(np.prod(x.shape[: 1 if axis is None else axis % 4])), -1)
    if op == "Hardmax":
        return (rows == rows.max(1, keepdims=True)).astype(np.float32).reshape(x.shape)
    values = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    return (np.log(values) if op == "LogSoftmax" else values).reshape(x.shape)

for opset in (1, 11, 12):
    for axis in (None, 1, 2, 3):
        right = defined("Softmax", axis)
        model = made("Softmax", opset, axis)
        got, meant = by_openvino(model), by_ort(model)
        named = "no axis" if axis is None else f"axis {axis}"
        print(f"Softmax, operator set {opset}, {named}: sums to {meant.sum():.3f} in ONNX Runtime, {got.sum():.3f} in OpenVINO")
        assert np.allclose(meant, right, atol=1e-6)
        assert np.allclose(got, right, atol=1e-6) == (opset == 1 or axis == 3), (opset, axis)
        if opset > 1:
            # what an operator of set 13 gives
            along = 1 if axis is None else axis
            new = np.exp(x) / np.exp(x).sum(along, keepdims=True)
            assert np.allclose(got, new, atol=1e-6)

for op in ("LogSoftmax", "Hardmax"):
    assert np.allclose(by_openvino(made(op, 11, 1)), defined(op, 1), atol=1e-5), op
print("LogSoftmax and Hardmax of operator set 11: right in OpenVINO")
for op in ("Softmax", "LogSoftmax", "Hardmax"):
    evaluated = reference.ReferenceEvaluator(made(op, 11, 1)).run(None, {"x": x})[0]
    print(f"{op} of operator set 11 in onnx's reference evaluator: {np.abs(evaluated - defined(op, 1)).max():.2f} off")
    assert np.abs(evaluated - defined(op, 1)).max() > 0.1, op
for op in ("Softmax", "LogSoftmax"):
    lifted = version_converter.convert_version(made(op, 11, 1), 13)
    assert np.allclose(by_ort(lifted), defined(op, 1), atol=1e-5), op
PY
