#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), tract 0.23.9, onnxruntime 1.31.1, onnx 1.23.2
# Guess:    the maximum of values that are all minus infinity is minus infinity, as in numpy and PyTorch.
# Happens:  OpenVINO and tract give -3.4e38, the lowest float32, for ReduceMax (and 3.4e38 for ReduceMin of infinity): the search
#           starts from the lowest finite value. So does OpenVINO's MaxPool, and GlobalMaxPool in all three; ONNX Runtime's ReduceMax
#           and MaxPool with a window are right.
# Matters:  masks are written as minus infinity. ONNX defines Attention by a graph that finds rows without any allowed pixel by
#           "maximum equals minus infinity", to put zero where Softmax gives NaN: there it finds none, and NaN gets through to
#           the picture.
# Sources:  https://onnx.ai/onnx/operators/onnx__ReduceMax.html: "Reduction over an empty set of values yields minus infinity (if
#           supported by the datatype)"; https://onnx.ai/onnx/operators/onnx__Attention.html (its function body).
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 tract==0.23.9
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import openvino as ov
import tract
from onnx import TensorProto, checker, helper, numpy_helper, save

def outputs(nodes, x, shape, kept=()):
    """Values by the name of the runtime."""
    info = lambda name, sides: helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
    graph = helper.make_graph(nodes, "net", [info("x", x.shape)], [info("y", shape)], list(kept))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, "net.onnx")
    core = ov.Core()
    compiled = core.compile_model(core.read_model("net.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ready = tract.onnx().load("net.onnx").into_model().into_runnable()
    return {"ONNX Runtime": ort.InferenceSession("net.onnx").run(None, {"x": x})[0], "OpenVINO": np.array(compiled([x])[0]),
            "tract": ready.run([x])[0].to_numpy()}

LOWEST = np.finfo(np.float32).min
x = np.full((1, 2, 4, 4), -np.inf, np.float32)
x[0, 1] = np.arange(16).reshape(4, 4)
node = helper.make_node
for name, nodes, given, shape, finite in (
    ("ReduceMax", [node("ReduceMax", ["x"], ["y"], axes=[2, 3], keepdims=1)], x, (1, 2, 1, 1), {"OpenVINO", "tract"}),
    ("ReduceMin", [node("ReduceMin", ["x"], ["y"], axes=[2, 3], keepdims=1)], -x, (1, 2, 1, 1), {"OpenVINO", "tract"}),
    ("MaxPool", [node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])], x, (1, 2, 3, 3), {"OpenVINO"}),
    ("GlobalMaxPool", [node("GlobalMaxPool", ["x"], ["y"])], x, (1, 2, 1, 1), {"ONNX Runtime", "OpenVINO", "tract"}),
):
    got = {runtime: values.ravel() for runtime, values in outputs(nodes, given, shape).items()}
    print(name + ": " + ", ".join(f"{runtime} {values[0]}" for runtime, values in got.items()))
    for runtime, values in got.items():
        assert abs(values[-1]) == 15, (name, runtime)
        assert abs(values[0]) == (-LOWEST if runtime in finite else np.inf), (name, runtime)

# what ONNX's definition of Attention does with rows of which everything is masked
rows = np.array([[-np.inf] * 3, [1, 2, 3]], np.float32)
kept = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("lowest", -np.inf), ("zero", 0))]
nodes = [node("Softmax", ["x"], ["s"], axis=-1), node("ReduceMax", ["x"], ["m"], axes=[-1], keepdims=1),
         node("Equal", ["m", "lowest"], ["masked"]), node("Where", ["masked", "zero", "s"], ["y"])]
for runtime, values in outputs(nodes, rows, (2, 3), kept).items():
    print(f"softmax, zero in rows whose maximum is minus infinity: {runtime} {values[0]}")
    assert np.isnan(values[0]).all() if runtime != "ONNX Runtime" else not values[0].any(), runtime
PY
