#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU)
# Guess:    PrePostProcessor, which turns a network into one that takes and gives 8-bit pictures, converts float pixels to u8 as
#           picture code does: rounded, and limited to 0..255.
# Happens:  set_element_type(u8) on an output truncates and wraps: 1.5 becomes 1, 256 becomes 0, 300 becomes 44, -3 becomes 253.
# Matters:  a restoration network overshoots at edges: white borders get black dots and dark ones white dots, and the whole
#           picture is half a level darker. The clamp and "+ 0.5" have to be in the network.
# Sources:  https://docs.openvino.ai/2026/openvino-workflow/running-inference/optimize-inference/optimize-preprocessing.html
#           and the page of Convert-1, which leaves values out of range to the implementation; nothing on rounding.
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen with the kernels for x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 openvino==2026.4.1
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
import openvino.opset13 as ops
from openvino.preprocess import PrePostProcessor

# A network of one 1x1 convolution that gives its input.
image = ops.parameter([1, 3, 8, 8], np.float32, name="image")
weight = ops.constant(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1))
model = ov.Model([ops.convolution(image, weight, [1, 1], [0, 0], [0, 0], [1, 1])], [image])
processor = PrePostProcessor(model)
processor.output().model().set_layout(ov.Layout("NCHW"))
processor.output().tensor().set_layout(ov.Layout("NHWC")).set_element_type(ov.Type.u8)
compiled = ov.Core().compile_model(processor.build(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

pixels = [0.6, 1.5, 254.9, 255.0, 256.0, 300.0, -3.0]
x = np.zeros((1, 3, 8, 8), np.float32)
x[0, :, 0, :7] = pixels
got = compiled(x)[0][0, 0, :7, 0].tolist()
print("float ", pixels)
print("u8    ", got)
print("wanted", np.rint(pixels).clip(0, 255).astype(int).tolist())
assert got == [0, 1, 254, 255, 0, 44, 253], "u8 outputs used to be truncated and wrapped"
PY
