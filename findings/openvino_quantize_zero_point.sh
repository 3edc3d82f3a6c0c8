#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    QuantizeLinear rounds x / scale half to even and adds the zero point afterwards: 0.5 and 1.5 steps are 0 and 2 above it,
#           whatever the zero point.
# Happens:  OpenVINO adds first and rounds then: with an odd zero point every tie goes to the other side (0.5 steps give 1, 1.5 give
#           1), with an even one none does. What is no tie is right.
# Matters:  values on half steps are common where a scale is a power of two, or where an average of two pixels is quantized again. A
#           comparison with another runtime shows differences of one step that come and go with the calibrated zero point.
# Sources:  https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html: "For (x / y_scale), it rounds to the nearest even", before the
#           zero point is added.
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

steps = np.arange(-40, 41, dtype=np.float32) / 4  # quarters: ties at every second half
SCALE = np.float32(0.25)

def both(zero_point):
    """Levels of ONNX Runtime, of OpenVINO."""
    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["y"])
    info = [helper.make_tensor_value_info(n, kind, steps.shape) for n, kind in (("x", TensorProto.FLOAT), ("y", TensorProto.UINT8))]
    graph = helper.make_graph([node], "net", info[:1], info[1:], [numpy_helper.from_array(np.asarray(t), n) for t, n in ((SCALE, "scale"), (np.uint8(zero_point), "zero_point"))])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    core = ov.Core()
    x = steps * SCALE
    got = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])[0]
    return ort.InferenceSession(data).run(None, {"x": x})[0].astype(int), np.array(got).astype(int)

ties = np.abs(steps % 1) == 0.5
for zero_point in (127, 128, 129, 131, 132):
    right, got = both(zero_point)
    assert np.array_equal(right, np.rint(steps).astype(int) + zero_point), "ONNX Runtime is as defined"
    assert np.array_equal(got, np.rint(steps + zero_point).astype(int)), "OpenVINO used to round after adding"
    print(f"zero point {zero_point}: {np.mean(got[ties] != right[ties]):.0%} of the ties differ, {np.mean(got[~ties] != right[~ties]):.0%} of the rest")
    assert np.all((got != right) == (ties & (zero_point % 2 == 1)))
PY
