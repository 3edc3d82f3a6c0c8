#!/usr/bin/env bash
# Packages: onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.31.1
# Guess:    the optimizer removes a ScatterND that writes every row only where it writes: with reduction "max" or "add" the result
#           depends on what was there.
# Happens:  its rule for constant indices does not look at the reduction: max(0, x) becomes x, and d + x becomes x.
# Matters:  a network that accumulates into all rows of a buffer computes something else after an optimization that is run by
#           default when PyTorch exports; no warning, the shapes are right.
# Sources:  https://onnx.ai/onnx/operators/onnx__ScatterND.html: with reduction, output[index] = f(output[index], update).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 onnxscript==0.7.2
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import checker, parser
from onnxscript import rewriter
from onnxscript.rewriter.rules.common import no_op_static_scatter_nd_rule

for reduction in ("none", "add", "max"):
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 20]> net (float[2,3] x) => (float[2,3] y) '
        "<float[2,3] d = {1, 1, 1, 1, 1, 1}, int64[2,1] i = {0, 1}> "
        f'{{ y = ScatterND<reduction = "{reduction}">(d, i, x) }}')
    checker.check_model(model)
    x = np.array([[-2, 0, 3], [4, -5, 1]], np.float32)
    before = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    changed = rewriter.rewrite(model, [no_op_static_scatter_nd_rule])
    after = ort.InferenceSession(changed.SerializeToString()).run(None, {"x": x})[0]
    print(f"reduction {reduction}: before {before.tolist()}, after {after.tolist()}")
    assert np.array_equal(after, x)
    assert np.array_equal(before, after) == (reduction == "none")
PY
