#!/usr/bin/env bash
# Packages: onnx 1.23.2, onnxruntime 1.31.1, torch 2.13.0 (CPU)
# Guess:    a Resize by 1.1 at 8 pixels samples at (x + 0.5) / 1.1 - 0.5, as ONNX says; that floor(8 * 1.1) is 8 again changes
#           nothing about where pixels come from, and what PyTorch does with one mode it does with all.
# Happens:  ONNX Runtime returns its input whenever the output has the input's shape, in every mode, with fixed and with free
#           sizes. PyTorch does the same with bilinear and nearest, but interpolates with bicubic and nearest-exact; onnx's
#           reference evaluator always interpolates. With one pixel more (10 * 1.1 is 11) none copies.
# Matters:  a network that resizes by a factor near 1 differs from PyTorch by the contrast of the picture, in one mode of two and
#           at small sizes alone; whoever takes ONNX Runtime as the reference for other formats blames those.
# Sources:  https://onnx.ai/onnx/operators/onnx__Resize.html: x_original = (x_resized + 0.5) / scale - 0.5, whatever the sizes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import torch
from onnx import checker, parser
from onnx.reference import ReferenceEvaluator

MODES = {"bilinear": 'mode = "linear"', "bicubic": 'mode = "cubic", cubic_coeff_a = -0.75',
         "nearest-exact": 'mode = "nearest", nearest_mode = "round_prefer_ceil"'}
for side, same in ((8, True), (10, False)):
    for name, attributes in MODES.items():
        for shape in (f"1,1,{side},{side}", "N,1,H,W"):
            model = parser.parse_model(
                f'<ir_version: 10, opset_import: ["": 20]> net (float[{shape}] x) => (float[N,1,P,Q] y) '
                f'{{ s = Constant<value = float[4] {{1, 1, 1.1, 1.1}}>() y = Resize<{attributes}>(x, , s) }}')
            checker.check_model(model)
            x = np.random.default_rng(0).uniform(0, 1, (1, 1, side, side)).astype(np.float32)
            found = {
                "ONNX Runtime": ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0],
                "PyTorch": torch.nn.functional.interpolate(torch.from_numpy(x), scale_factor=1.1, mode=name).numpy(),
                "reference evaluator": ReferenceEvaluator(model).run(None, {"x": x})[0],
            }
            copies = [who for who, y in found.items() if np.array_equal(x, y)]
            print(f"{side} pixels by 1.1, {name}, {shape}: {found['PyTorch'].shape[3]} pixels; copied by {copies or 'none'}")
            assert copies == (["ONNX Runtime"] + ["PyTorch"] * (name == "bilinear") if same else [])
            if not same and name != "nearest-exact":
                assert max(float(np.abs(y - found["PyTorch"]).max()) for y in found.values()) < 1e-4
PY
