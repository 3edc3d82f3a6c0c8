#!/usr/bin/env bash
# Packages: tract 0.23.9, onnx 1.23.2
# Guess:    a reader that takes Celu and Swish with an alpha computes them with it.
# Happens:  Celu leaves the factor before the exponential out (alpha=2: half of every negative value), and Swish has alpha 1 whatever
#           the model says. With alpha 1, the default, both are right.
# Matters:  other slopes are what these activations are for, and no error says that they are gone. ONNX's own float32 test of Celu
#           shows nothing: tract passes it, and only that in float16, which came later, has negative values.
# Sources:  https://onnx.ai/onnx/operators/onnx__Celu.html (max(0, x) + min(0, alpha * (exp(x / alpha) - 1))),
#           https://onnx.ai/onnx/operators/onnx__Swish.html (x * sigmoid(alpha * x)).
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen on x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 tract==0.23.9
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import tract
from onnx import checker, helper, save

x = np.array([-3, -2, -1, -0.5, 0, 0.5, 1, 2], np.float32)

def run(op, opset, dtype, alpha):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    info = [helper.make_tensor_value_info(name, kind, x.shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], alpha=alpha)], "net", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    checker.check_model(model, full_check=True)
    save(model, "net.onnx")
    return tract.onnx().load("net.onnx").into_model().into_runnable().run([x.astype(dtype)])[0].to_numpy().astype(np.float32)

def celu(alpha):
    return np.maximum(0, x) + np.minimum(0, alpha * (np.exp(x / alpha) - 1))

def swish(alpha):
    return x / (1 + np.exp(-alpha * x))

for alpha in (1.0, 0.5, 2.0):
    for opset, dtype in ((12, np.float32), (28, np.float32), (28, np.float16)):
        got = run("Celu", opset, dtype, alpha)
        print(f"Celu of operator set {opset}, alpha {alpha}, {np.dtype(dtype).name}: {np.abs(got - celu(alpha)).max():.4f} off")
        assert np.allclose(got, np.where(x < 0, celu(alpha) / alpha, x), atol=2e-3), "the factor alpha used to be left out"
for alpha in (1.0, 0.5, 2.0):
    got = run("Swish", 24, np.float32, alpha)
    print(f"Swish, alpha {alpha}: {np.abs(got - swish(alpha)).max():.4f} off; from alpha 1 {np.abs(got - swish(1.0)).max():.4f}")
    assert np.allclose(got, swish(1.0), atol=1e-5)
PY
