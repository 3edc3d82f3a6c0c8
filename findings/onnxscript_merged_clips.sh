#!/usr/bin/env bash
# Packages: onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.31.1
# Guess:    onnxscript.optimizer.optimize, which torch.onnx.export runs by default, may merge two clamps and keeps their result: what
#           comes out of a Relu is never negative.
# Happens:  a Clip to -3..-1 and the Relu behind it become one Clip from 0 to -1. With the minimum above the maximum ONNX defines
#           the result as the maximum: -1 everywhere instead of 0. Ranges that overlap are merged rightly.
# Matters:  nobody writes such a pair, but calibrated or learned ranges, and branches that a deployment turned off, make them; the
#           model passes every check, and a dead branch gives another constant.
# Sources:  https://onnx.ai/onnx/operators/onnx__Clip.html (minimum greater than maximum); the rules successive_clip, successive_relu_clip in
#           onnxscript/rewriter/rules/common/_fuse_relus_clips.py name no condition on the ranges.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnx-ir==1.1.0 onnxscript==0.7.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import onnxscript.optimizer
from onnx import TensorProto, checker, helper, numpy_helper

x = np.array([-5, -2, 0.5, 9], np.float32)

def model(nodes, bounds):
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])
    graph = helper.make_graph(nodes, "net", [info("x")], [info("y")], [numpy_helper.from_array(np.float32(v), k) for k, v in bounds.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made

def compare(title, nodes, bounds):
    plain, better = model(nodes, bounds), onnxscript.optimizer.optimize(model(nodes, bounds))
    checker.check_model(better, full_check=True)
    results = [ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (plain, better)]
    print(f"{title}: {results[0]} becomes {results[1]}, operators {[n.op_type for n in better.graph.node]}")
    return results

node = helper.make_node
plain, better = compare("Clip to -3..-1, then Relu", [node("Clip", ["x", "a", "b"], ["t"]), node("Relu", ["t"], ["y"])], {"a": -3, "b": -1})
np.testing.assert_array_equal(plain, [0, 0, 0, 0])
np.testing.assert_array_equal(better, [-1, -1, -1, -1], "the optimizer used to change the result")
plain, better = compare("Clip to 0..2, then to 1..3", [node("Clip", ["x", "a", "b"], ["t"]), node("Clip", ["t", "c", "d"], ["y"])],
                        {"a": 0, "b": 2, "c": 1, "d": 3})
np.testing.assert_array_equal(plain, better)
PY
