#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1
# Guess:    a quantized model that passes onnx's full check and runs without optimizations runs with them, too.
# Happens:  a Pad between int8 convolutions that names its axes (`axes` = [3], pads [1, 2]) ends in InvalidArgument at the first run:
#           "indices element out of data bounds, idx=2 must be within the inclusive range [-2,1]". The layout transformation of
#           the highest optimization level, which is the default, reorders the pads as if there were some for all four axes. With
#           the pads of all axes written out, or at any lower level, the same network runs.
# Matters:  the model loads, and fails when the app has its first picture; exporters write `axes` since opset 18 where few are
#           padded.
# Sources:  https://onnx.ai/onnx/operators/onnx__Pad.html: pads are [x1_begin, x2_begin, ..., x1_end, x2_end, ...] of the given axes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
from onnx import checker, parser

def model(pad, values):
    text = f'''<ir_version: 10, opset_import: ["": 20]>
    net (float[1,4,8,8] x) => (float[1,4,8,11] y) <float s = {{0.02}}, uint8 z = {{128}}, float t = {{0.01}}, int8 o = {{0}}, {values}> {{
      w = ConstantOfShape <value = int8[1] {{3}}> (shape)
      f = DequantizeLinear(w, t, o)
      xq = QuantizeLinear(x, s, z)  xd = DequantizeLinear(xq, s, z)  a = Conv<pads = [1, 1, 1, 1]>(xd, f)
      aq = QuantizeLinear(a, s, z)  ad = DequantizeLinear(aq, s, z)  p = {pad}
      pq = QuantizeLinear(p, s, z)  pd = DequantizeLinear(pq, s, z)  b = Conv<pads = [1, 1, 1, 1]>(pd, f)
      bq = QuantizeLinear(b, s, z)  y = DequantizeLinear(bq, s, z)
    }}'''
    made = parser.parse_model(text)
    checker.check_model(made, full_check=True)
    return made.SerializeToString()

def run(data, level):
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = getattr(ort.GraphOptimizationLevel, level), 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).uniform(-2, 2, (1, 4, 8, 8)).astype(np.float32)
    try:
        return "runs", session.run(None, {"x": x})[0]
    except Exception as error:
        return type(error).__name__, None

shape = "int64[4] shape = {4, 4, 3, 3}"
forms = {"pads of four axes": model("Pad(ad, pads)", f"{shape}, int64[8] pads = {{0, 0, 0, 1, 0, 0, 0, 2}}"),
         "pads of axis 3": model("Pad(ad, pads, , axes)", f"{shape}, int64[2] pads = {{1, 2}}, int64[1] axes = {{3}}")}
found = {(form, level): run(data, f"ORT_{level}") for form, data in forms.items()
         for level in ("DISABLE_ALL", "ENABLE_EXTENDED", "ENABLE_ALL")}
for case, (outcome, _) in found.items():
    print(*case, outcome)
wanted = found["pads of four axes", "DISABLE_ALL"][1]
for case, (outcome, y) in found.items():
    if case == ("pads of axis 3", "ENABLE_ALL"):
        assert outcome == "InvalidArgument"
    else:
        assert outcome == "runs" and np.array_equal(y, wanted)
PY
