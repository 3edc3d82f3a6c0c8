#!/usr/bin/env bash
# Packages: openvino 2026.4.1, onnx 1.23.2
# Guess:    the output that a model calls `restored` has that name on the compiled model; get_any_name() gives it.
# Happens:  behind Conv, DepthToSpace, Sigmoid the CPU plugin moves the Sigmoid, and the compiled output has two names: `restored` and
#           the inner value's `d`, which was the input of Sigmoid. get_any_name() gives `d`; the results of a run list both names for
#           one port. Before compiling, the output has one name and get_any_name() is right. Indexing by "restored" works.
# Matters:  code that lists outputs of a compiled model reports an output that the model's author never named, and a dictionary by
#           get_any_name() has no "restored".
# Sources:  https://docs.openvino.ai/2025/api/ie_python_api/_autosummary/openvino.runtime.Output.html: get_any_name is one of the tensor
#           names; nothing says that compiling adds some.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
from onnx import checker, helper, numpy_helper

kernel = numpy_helper.from_array(np.random.default_rng(0).normal(0, 0.3, (12, 3, 3, 3)).astype(np.float32), "w")
info = lambda name, shape: helper.make_tensor_value_info(name, 1, shape)
graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
                           helper.make_node("DepthToSpace", ["c"], ["d"], blocksize=2),
                           helper.make_node("Sigmoid", ["d"], ["restored"])],
                          "net", [info("x", [1, 3, 8, 8])], [info("restored", [1, 3, 16, 16])], [kernel])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
checker.check_model(model, full_check=True)
core = ov.Core()
read = core.read_model(model.SerializeToString())
compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
before, after = read.output(0), compiled.output(0)
print("as read:", before.get_any_name(), sorted(before.get_names()))
print("compiled:", after.get_any_name(), sorted(after.get_names()))
assert (before.get_any_name(), before.get_names()) == ("restored", {"restored"})
assert (after.get_any_name(), after.get_names()) == ("d", {"d", "restored"})
y = compiled({"x": np.zeros((1, 3, 8, 8), np.float32)})["restored"]
assert np.allclose(y, 0.5)  # the Sigmoid's value, not what goes into it
PY
