#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1
# Guess:    onnx.version_converter keeps a model's results, or says that it cannot.
# Happens:  a linear Resize of opset 10 (and Upsample of opset 9) samples at x / scale ("asymmetric" in later words). From opset 11
#           on the default is half_pixel, and the converter writes no coordinate_transformation_mode: the lifted model passes
#           check_model and samples half a pixel elsewhere. On noise in 0..1 pixels change by 0.2.
# Matters:  old super-resolution and segmentation models are lifted so that a newer quantizer or runtime takes them; the picture
#           is shifted, and nothing said so.
# Sources:  https://onnx.ai/onnx/operators/onnx__Resize.html (defaults since 11) and docs/VersionConverter.md of onnx;
#           onnx/version_converter/adapters/resize_10_11.h does not set the attribute.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper, version_converter

x = np.random.default_rng(0).random((1, 1, 8, 8)).astype(np.float32)

def model(kind, opset):
    info = lambda name, side: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, side, side])
    graph = helper.make_graph([helper.make_node(kind, ["x", "s"], ["y"], mode="linear")], "net", [info("x", 8)], [info("y", 16)],
                              [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=5)
    checker.check_model(made, full_check=True)
    return made

def run(made):
    return ort.InferenceSession(made.SerializeToString()).run(None, {"x": x})[0]

for kind, opset in (("Upsample", 9), ("Resize", 10)):
    old = model(kind, opset)
    lifted = version_converter.convert_version(old, 13)
    checker.check_model(lifted, full_check=True)
    node = next(n for n in lifted.graph.node if n.op_type == "Resize")
    changed = np.abs(run(old) - run(lifted)).max()
    print(f"{kind} of opset {opset} lifted to 13: attributes {[a.name for a in node.attribute]}, pixels change by {changed:.3f}")
    assert changed > 0.1, "the converter used to change the picture"
    node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    assert np.abs(run(old) - run(lifted)).max() < 1e-5, "the missing attribute used to be the whole difference"
PY
