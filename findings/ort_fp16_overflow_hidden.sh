#!/usr/bin/env bash
# Packages: onnxruntime 1.31.1 (CPU), onnx 1.23.2
# Guess:    a float16 ONNX model that overflows float16 inside shows infinities when ONNX Runtime runs it on the CPU,
#           at the latest with every graph optimization turned off.
# Happens:  the CPU kernels of Conv are float32, and the casts between two float16 layers cancel out, so the tensor between
#           them never is float16: a value of 1,000,000 passes through a tensor that the file declares float16, and the result is
#           right. Adding that same tensor to the graph's outputs shows it as infinity, and the result stays right.
# Matters:  "the fp16 file was checked in ONNX Runtime" says nothing about overflow on a GPU, an NPU or a phone, which
#           compute in float16; and tapping a layer to look for the overflow shows values that the run did not use.
# Sources:  IEEE 754 binary16 ends at 65504; the ONNX operator page of Conv has float16 in and out; the inserted casts are described
#           in onnxruntime/core/optimizer/insert_cast_transformer.h, not in the documentation of float16 models
#           (https://onnxruntime.ai/docs/performance/model-optimizations/float16.html).
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen with the kernels for x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

def model(tap):
    half = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, 1, 4, 4])
    weight = lambda value, name: numpy_helper.from_array(np.full((1, 1, 1, 1), value, np.float16), name)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "up"], ["middle"]), helper.make_node("Conv", ["middle", "down"], ["y"])],
        "net", [half("x")], [half("y")] + ([half("middle")] if tap else []), [weight(1000, "up"), weight(0.001, "down")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made.SerializeToString()

def run(tap):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model(tap), options, providers=["CPUExecutionProvider"])
    return [float(out.ravel()[0]) for out in session.run(None, {"x": np.full((1, 1, 4, 4), 1000, np.float16)})]

alone, tapped = run(False), run(True)
print("without the tap: y =", alone[0])
print("with the tap:    y =", tapped[0], " middle =", tapped[1])
assert 990 < alone[0] < 1010, "y used to hide the overflow"
assert tapped[1] == float("inf"), "the tapped tensor used to be infinite"
assert 990 < tapped[0] < 1010, "y used to disagree with the tapped tensor it is computed from"
PY
