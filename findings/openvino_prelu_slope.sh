#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    the slope of PRelu is broadcast like numpy does: one of shape (W) belongs to the columns, as in ONNX since operator set 7.
# Happens:  with as many columns as channels OpenVINO takes a slope of rank 1 for the channels, and with another number for the
#           columns: the same model means another function at another size. Slopes of shape (1, 1, W) are right at every size.
# Matters:  networks of 64 channels run on tiles of 64 pixels, and those of 32 on 32: there the picture changes, without an error,
#           and in tests at any other size nothing is seen.
# Sources:  https://onnx.ai/onnx/operators/onnx__PRelu.html ("unidirectional broadcastable (tensor slope should be unidirectional
#           broadcastable to input tensor X)").
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

def both(channels, columns, shape):
    """PRelu: numpy's values, ONNX Runtime's, OpenVINO's, and those with the slope along the channels."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((1, channels, 5, columns)).astype(np.float32)
    slope = draw.random(columns, np.float32)
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    graph = helper.make_graph([node], "net", info[:1], info[1:], [numpy_helper.from_array(slope.reshape(shape), "slope")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    core = ov.Core()
    got = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])[0]
    columnwise = np.where(x < 0, x * slope, x)
    channelwise = np.where(x < 0, x * slope.reshape(-1, 1, 1), x) if channels == columns else None
    return columnwise, ort.InferenceSession(data).run(None, {"x": x})[0], np.array(got), channelwise

for channels, columns in ((4, 4), (32, 32), (4, 6), (6, 4)):
    for shape in ((columns,), (1, 1, columns)):
        right, runtime, got, channelwise = both(channels, columns, shape)
        assert np.allclose(runtime, right, atol=1e-6)
        off = float(np.abs(got - right).max())
        print(f"{channels} channels, {columns} columns, slope of shape {shape}: {off:.2f} off")
        assert (off > 0.1) == (channels == columns and len(shape) == 1), (channels, columns, shape)
        if off > 0.1:
            assert np.allclose(got, channelwise, atol=1e-6)
PY
