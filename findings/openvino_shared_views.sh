#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), onnxruntime 1.31.1, onnx 1.23.2
# Guess:    features with channels last may be read as tokens (Reshape) and as a picture for a convolution (Transpose).
# Happens:  both become views of one tensor, and its memory is given away once the Transpose's is read: what reads the
#           tokens later gets whatever lies there by then. The numbers are wrong, mostly absurd or NaN, and others each time.
#           Nothing is said. With one of the two readers, or an operator before the Reshape, the numbers are right.
# Matters:  restoration transformers of this form (DAT, Uformer, LeWin blocks) come out wrong, with plausible pictures
#           where what lies in the memory is plausible.
# Sources:  https://arxiv.org/abs/2308.03364 (a network of this form)
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
from onnx import checker, numpy_helper, parser

rng = np.random.default_rng(0)
BODY = """
    c = MatMul(x, K)
    first = Transpose <perm = [0, 3, 1, 2]> (c)
    h = Conv <group = 8, pads = [1, 1, 1, 1]> (first, D)
    m = Conv <group = 8, pads = [1, 1, 1, 1]> (h, D)
    last = Transpose <perm = [0, 2, 3, 1]> (m)
    others = Reshape (last, tokens)
    %s
    y = Add (r, others)
"""


def off(reshape):
    head = '<ir_version: 8, opset_import: ["": 17]> net (float[1, 6, 8, 8] x) => (float[1, 48, 8] y)'
    constants = "<int64[3] tokens = {1, 48, 8}, float lowest = {-3.0e38}>"
    model = parser.parse_model(f"{head} {constants} {{ {BODY % reshape} }}")
    for name, shape in (("K", (8, 8)), ("D", (8, 1, 3, 3))):
        array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    compiled = ov.Core().compile_model(ov.Core().read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    x = rng.normal(size=(1, 6, 8, 8)).astype(np.float32)
    right = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return float(np.abs(compiled({"x": x})[0] - right).max() / right.std())


shared = [off("r = Reshape (c, tokens)") for _ in range(4)]
apart = [off("k = Max (c, lowest) r = Reshape (k, tokens)") for _ in range(4)]
print("off, as a share of the deviation: shared", " ".join(f"{v:.2g}" for v in shared),
      "| behind an operator", " ".join(f"{v:.1g}" for v in apart))
assert all(not v < 1e-2 for v in shared), "the numbers used to be wrong"
assert all(v < 1e-5 for v in apart), "they used to be right behind an operator"
PY
