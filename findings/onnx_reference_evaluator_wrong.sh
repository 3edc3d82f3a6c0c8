#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1
# Guess:    onnx.reference.ReferenceEvaluator is the reference: where a runtime differs from it, the runtime is wrong.
# Happens:  LRN normalizes the first channel and hands all others through unchanged; LpNormalization with p=1 divides by the sum, not
#           by the sum of absolute values (signs flip); AveragePool with ceil_mode gives averages that are not those of
#           its windows: [1,2,3],[4,5,6],[7] become 1.5, 4, 6. ONNX Runtime follows the text of the operators in all three.
# Matters:  a writer or runtime that is "proven against the ONNX reference" inherits these, and a right one is reported as broken.
# Sources:  https://onnx.ai/onnx/operators/onnx__LRN.html, onnx__LpNormalization.html, onnx__AveragePool.html;
#           https://onnx.ai/onnx/api/reference.html names no operator as approximate.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

def both(kind, x, **attributes):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], **attributes)], "net", [info("x", x.shape)], [info("y", [None] * 4)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model, full_check=True)
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0].ravel()
    runtime = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0].ravel()
    print(f"{kind}\n  input     {x.ravel()}\n  reference {reference}\n  runtime   {runtime}")
    return reference, runtime

x = np.arange(1, 6, dtype=np.float32)
squares = np.array([x[max(i - 1, 0):i + 2] @ x[max(i - 1, 0):i + 2] for i in range(5)])
exact = x / np.sqrt(1 + squares / 3)
reference, runtime = both("LRN", x.reshape(1, 5, 1, 1), size=3, alpha=1.0, beta=0.5, bias=1.0)
np.testing.assert_allclose(runtime, exact, rtol=1e-5)
np.testing.assert_allclose(reference, [exact[0], *x[1:]], rtol=1e-5)

reference, runtime = both("LpNormalization", np.array([[[[1, -2]]]], np.float32), axis=3, p=1)
np.testing.assert_allclose(runtime, [1 / 3, -2 / 3], rtol=1e-5)
np.testing.assert_allclose(reference, [-1, 2], rtol=1e-5)

x = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 1, 7)
reference, runtime = both("AveragePool", x, kernel_shape=[1, 3], strides=[1, 3], ceil_mode=1)
np.testing.assert_allclose(runtime, [2, 5, 7], rtol=1e-5)
np.testing.assert_allclose(reference, [1.5, 4, 6], rtol=1e-5)
PY
