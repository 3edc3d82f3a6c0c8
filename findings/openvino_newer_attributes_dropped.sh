#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnx 1.23.2
# Guess:    an ONNX model of an operator set newer than OpenVINO's reader is refused, or gets what the operator set says: the
#           version is in the file so that a reader can tell.
# Happens:  the reader takes the newest definition of an operator that it knows, and reads over attributes that came later, without
#           an error: Attention with a window (left_window_size, opset 25) attends to every token, and SpaceToDepth with
#           mode="CRD" (opset 28) orders its channels as "DCR", its old and only order.
# Matters:  a window is what makes attention of large pictures affordable, and a wrong order of channels swaps colors and
#           positions: the model loads, runs, has the right shapes, and gives another picture. ONNX Runtime 1.31.1 refuses both.
# Sources:  https://onnx.ai/onnx/operators/onnx__Attention.html, https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
from onnx import TensorProto, checker, helper

def run(node, opset, ir, output, *arrays):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    inputs = [info(name, array.shape) for name, array in zip(node.input, arrays)]
    graph = helper.make_graph([node], "net", inputs, [info("y", output)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    checker.check_model(model, full_check=True)
    compiled = ov.Core().compile_model(
        ov.Core().read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return np.array(compiled(dict(enumerate(arrays)))[0])

def attention(q, k, v, left=None):
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1])
    if left is not None:
        query, key = np.indices(scores.shape[-2:])
        scores = np.where(key < query - left, -np.inf, scores)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v

draw = np.random.default_rng(0)
q, k, v = (draw.random((1, 1, 6, 4)).astype(np.float32) for _ in range(3))
plain = run(helper.make_node("Attention", ["q", "k", "v"], ["y"]), 25, 13, q.shape, q, k, v)
got = run(helper.make_node("Attention", ["q", "k", "v"], ["y"], left_window_size=1), 25, 13, q.shape, q, k, v)
right = attention(q, k, v, left=1)
print(f"Attention: without a window {np.abs(plain - attention(q, k, v)).max():.1e} from numpy's; "
      f"with left_window_size=1 {np.abs(got - right).max():.2f} from numpy's, {np.abs(got - plain).max()} from that without")
assert np.abs(plain - attention(q, k, v)).max() < 1e-5, "attention without a window used to be right"
assert np.abs(got - right).max() > 0.05 and np.array_equal(got, plain), "the window used to be dropped"

x = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
moved = {}
for mode in ("DCR", "CRD"):
    node = helper.make_node("SpaceToDepth", ["x"], ["y"], blocksize=2, mode=mode)
    moved[mode] = run(node, 28, 14, (1, 8, 2, 2), x)
blocks = x.reshape(1, 2, 2, 2, 2, 2)
right = {
    "DCR": blocks.transpose(0, 3, 5, 1, 2, 4).reshape(1, 8, 2, 2),
    "CRD": blocks.transpose(0, 1, 3, 5, 2, 4).reshape(1, 8, 2, 2),
}
for mode, values in moved.items():
    print(f"SpaceToDepth {mode}: first pixel's channels {values[0, :, 0, 0].astype(int).tolist()}, "
          f"by the definition {right[mode][0, :, 0, 0].astype(int).tolist()}")
assert np.array_equal(moved["DCR"], right["DCR"]), "the old order used to be right"
assert np.array_equal(moved["CRD"], right["DCR"]) and not np.array_equal(moved["CRD"], right["CRD"]), "CRD used to be read as DCR"
PY
