#!/usr/bin/env bash
# Packages: openvino 2026.4.1 (CPU), numpy 2.4.6
# Guess:    a FakeQuantize maps values to the levels of its range, however small the range is: all numbers of a network may be
#           multiplied by a power of two.
# Happens:  a range that begins less than 1e-6 below zero is taken to begin at zero, once the convolution before it runs in int8:
#           its zero point is dropped, and what is read is 100 levels off, its zero point, or 28 for smaller ranges. At
#           -1e-6 all is right, and with int8 kernels switched off (LP_TRANSFORMS_MODE), too.
# Matters:  trained networks have layers of almost no weight (a layer scale that went to zero), whose ranges are that small.
# Sources:  https://docs.openvino.ai/2026/documentation/openvino-ir-format/operation-sets/operation-specs/quantization/fake-quantize-1.html
#           gives the formula, without a smallest range.
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
from openvino import opset13 as op

kernel = np.random.default_rng(0).integers(-63, 64, (16, 16, 1, 1)).astype(np.int8)
image = np.random.default_rng(1).integers(0, 256, (1, 16, 8, 8)).astype(np.float32) / np.float32(255)

def rounded(value, low, high):
    return op.fake_quantize(value, *(op.constant(np.float32(end)) for end in (low, high, low, high)), levels=256)

def levels(step, zero, int8):
    """The levels that a convolution between two roundings gives; those of `step` 1 are between 0 and 255."""
    pixels = op.parameter(image.shape, np.float32)
    weights = op.multiply(op.convert(op.constant(kernel), np.float32), op.constant(np.float32(step / 10)))
    summed = op.convolution(rounded(pixels, 0, 1), weights, [1, 1], [0, 0], [0, 0], [1, 1])
    model = ov.Model([rounded(summed, -zero * step, (255 - zero) * step)], [pixels])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": int8}
    found = ov.Core().compile_model(model, "CPU", settings)(image)[0]
    return found.astype(np.float64) / step + zero

wanted = np.einsum("oi,bihw->bohw", kernel[:, :, 0, 0].astype(float) / 10, image)
zero = 100
wanted = np.clip(np.rint(wanted + zero), 0, 255)
for begin in (1.0, 1e-5, 1.01e-6, 0.99e-6, 1e-7, 1e-8):
    step = begin / zero
    off = {int8: levels(step, zero, int8) - wanted for int8 in (True, False)}
    said = {int8: f"{np.median(each):7.2f} ({np.abs(each).max():.2f} at most)" for int8, each in off.items()}
    print(f"range from {-begin:.3g}: levels off with int8 kernels {said[True]}, without {said[False]}")
    assert np.abs(off[False]).max() <= 1.01
    assert (np.abs(off[True]).max() > 10) == (begin < 1e-6), "only what begins nearer to zero than 1e-6 used to be off"
PY
