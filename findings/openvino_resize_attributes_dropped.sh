#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    OpenVINO's ONNX reader implements an attribute of Resize or refuses the model, as it does for half_pixel_symmetric and
#           tf_crop_and_resize.
# Happens:  three attributes are read over in silence: antialias (the picture aliases: 0.1 of 1.0 off on noise),
#           keep_aspect_ratio_policy (8x12 to 16x16 "not_larger" is 11x16 by the specification and 16x16 here: another size
#           than the model says), exclude_outside (cubic, borders). ONNX Runtime implements all three.
# Matters:  downscaling with antialias is how many restoration networks make their input or their loss image; the model loads,
#           runs, and gives another picture.
# Sources:  https://onnx.ai/onnx/operators/onnx__Resize.html; OpenVINO's list of supported ONNX operators
#           (src/frontends/onnx/docs/supported_ops.md) does not mention the attributes.
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

x = np.random.default_rng(0).random((1, 1, 8, 12)).astype(np.float32)

def both(size, **attributes):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], axes=[2, 3], **attributes)
    graph = helper.make_graph([node], "net", [info("x", x.shape)], [info("y", [None] * 4)],
                              [numpy_helper.from_array(np.array(size, np.int64), "s")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ort.InferenceSession(content).run(None, {"x": x})[0], compiled(x)[0]

right, got = both([4, 6], mode="linear", antialias=1)
_, without = both([4, 6], mode="linear", antialias=0)
print(f"antialias: OpenVINO differs by {np.abs(right - got).max():.3f}, from itself without antialias by {np.abs(got - without).max()}")
assert np.abs(right - got).max() > 0.1 and np.array_equal(got, without), "antialias used to be dropped"

right, got = both([16, 16], mode="linear", keep_aspect_ratio_policy="not_larger")
print("not_larger: ONNX Runtime", right.shape[2:], "OpenVINO", got.shape[2:])
assert right.shape[2:] == (11, 16) and got.shape[2:] == (16, 16), "the policy used to be dropped"

right, got = both([16, 24], mode="cubic", exclude_outside=1)
_, without = both([16, 24], mode="cubic", exclude_outside=0)
print(f"exclude_outside: OpenVINO differs by {np.abs(right - got).max():.3f}")
assert np.abs(right - got).max() > 0.01 and np.array_equal(got, without), "exclude_outside used to be dropped"

right, got = both([16, 24], mode="cubic")
assert np.abs(right - got).max() < 1e-5, "without these attributes the two used to agree"
PY
