#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    a linear Resize by a factor samples every axis by that factor, also where rounding down adds no pixel to one of them.
# Happens:  an axis whose length stays (1.04 times 20 rows are 20) is copied row by row, while the other axis is resized right.
#           The specification and ONNX Runtime take rows at (r + 0.5) / 1.04 - 0.5 there. Nothing is said.
# Matters:  networks that resize by a fixed factor near 1, or small feature maps by any (3 rows by 1.25), give another picture.
# Sources:  https://onnx.ai/onnx/operators/onnx__Resize.html
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

x = np.random.default_rng(0).random((1, 1, 20, 30)).astype(np.float32)


def both(*factors):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")
    scales = numpy_helper.from_array(np.array([1, 1, *factors], np.float32), "s")
    graph = helper.make_graph([node], "net", [info("x", x.shape)], [info("y", [None] * 4)], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ort.InferenceSession(content).run(None, {"x": x})[0], compiled(x)[0]


right, got = both(1.04, 1.5)
_, copied = both(1.0, 1.5)
print(f"1.04 x 1.5: {got.shape[2:]}, differs from ONNX Runtime by {np.abs(right - got).max():.3f}, "
      f"from a factor of 1 by {np.abs(copied - got).max():.1e}")
assert got.shape == right.shape == (1, 1, 20, 45)
assert np.abs(right - got).max() > 0.1 and np.abs(copied - got).max() < 1e-6, "the axis used to be copied"

right, got = both(1.06, 1.5)
print(f"1.06 x 1.5: {got.shape[2:]}, differs by {np.abs(right - got).max():.1e}")
assert np.abs(right - got).max() < 1e-5, "where a row is added the two used to agree"
PY
