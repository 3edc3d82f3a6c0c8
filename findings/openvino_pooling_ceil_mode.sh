#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    pooling with ceil_mode from an ONNX file gives OpenVINO the sizes and averages of ONNX Runtime and PyTorch.
# Happens:  MaxPool keeps a last window that starts in the padding on the right, which ONNX and PyTorch leave out: 9x9 with kernel 2,
#           stride 3 becomes 4x4 instead of 3x3. AveragePool leaves it out, so sizes are right there; but with
#           count_include_pad its last windows are divided by the whole kernel, also by the places beyond the padding, which
#           ONNX Runtime and PyTorch do not count.
# Matters:  another size of a feature map breaks a network at its next addition, or shifts it; the averages are only wrong in the
#           last row and column, where a mean error over the picture does not show it.
# Sources:  https://onnx.ai/onnx/operators/onnx__MaxPool.html (windows that would start in the right padded region are
#           ignored); OpenVINO has the rounding type ceil_torch since its opset 14 for this
#           (https://docs.openvino.ai, MaxPool-14 and AvgPool-14), its ONNX reader does not always use it.
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
from onnx import TensorProto, checker, helper

def both(kind, side, **attributes):
    x = np.ones((1, 1, side, side), np.float32)
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], ceil_mode=1, **attributes)], "net",
                              [info("x", x.shape)], [info("y", [None] * 4)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ort.InferenceSession(content).run(None, {"x": x})[0][0, 0], compiled(x)[0][0, 0]

right, got = both("MaxPool", 9, kernel_shape=[2, 2], strides=[3, 3])
print("MaxPool 9x9, kernel 2, stride 3: ONNX Runtime", right.shape, "OpenVINO", got.shape)
assert right.shape == (3, 3) and got.shape == (4, 4), "OpenVINO used to keep the window"

right, got = both("AveragePool", 9, kernel_shape=[2, 2], strides=[3, 3])
assert right.shape == got.shape == (3, 3), "the sizes of AveragePool used to agree"

right, got = both("AveragePool", 8, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1)
print("AveragePool of ones, last row: ONNX Runtime", right[-1].round(3), "OpenVINO", got[-1].round(3))
assert right.shape == got.shape == (5, 5) and np.abs(right[:-1, :-1] - got[:-1, :-1]).max() < 1e-5
np.testing.assert_allclose(right[-1, 1:-1], 1 / 2, rtol=1e-5)  # one row of ones, one of counted padding
np.testing.assert_allclose(got[-1, 1:-1], 1 / 3, rtol=1e-5)  # and one that does not exist
PY
