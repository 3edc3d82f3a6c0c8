#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    a reduction of operator set 13 to 17 has its axes as an attribute, and a reader that takes the model follows it.
# Happens:  ReduceL1, ReduceLogSum and ReduceLogSumExp of these operator sets are computed over all axes, whatever ``axes`` says:
#           one value instead of a picture, and another shape than the model declares. The seven other reductions are right, and
#           so are these three in operator sets 11 and 18, before and after.
# Matters:  operator sets 13 to 17 are what PyTorch's exporter writes for most users. A norm of channels or a log-sum-exp becomes
#           one number that broadcasts to every pixel after it, so that the network still runs.
# Sources:  https://onnx.ai/onnx/operators/onnx__ReduceL1.html (version 13: attribute axes; version 18: input axes).
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
from onnx import TensorProto, checker, helper, numpy_helper

x = np.random.default_rng(0).random((1, 3, 4, 5)).astype(np.float32) + 0.5
WRONG = {"ReduceL1", "ReduceLogSum", "ReduceLogSumExp"}
REDUCTIONS = sorted(WRONG | {"ReduceL2", "ReduceSumSquare", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"})

def both(op, opset):
    """The reduction over channels, multiplied into the picture: ONNX Runtime's, OpenVINO's."""
    axes = {"axes": [1]} if opset < 18 else {}
    nodes = [helper.make_node(op, ["x", "axes"] if opset >= 18 else ["x"], ["r"], keepdims=1, **axes), helper.make_node("Mul", ["x", "r"], ["y"])]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    kept = [numpy_helper.from_array(np.array([1]), "axes")] if opset >= 18 else []
    graph = helper.make_graph(nodes, "net", info[:1], info[1:], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    core = ov.Core()
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ort.InferenceSession(data).run(None, {"x": x})[0], np.array(compiled([x])[0])

for opset in (11, 13, 17, 18):
    off = {op: float(np.abs(np.subtract(*both(op, opset))).max()) for op in REDUCTIONS}
    print(f"operator set {opset}: " + ", ".join(f"{op} {value:.2g}" for op, value in off.items()))
    for op, value in off.items():
        assert (value > 0.5) == (op in WRONG and opset in (13, 17)), (opset, op, value)
print("ReduceL1 of operator set 13 over channels, then over all:", np.abs(x).sum(1).ravel()[:2], np.abs(x).sum())
right, got = both("ReduceL1", 13)
assert np.allclose(right, x * x.sum(1, keepdims=True)) and np.allclose(got, x * x.sum())
PY
