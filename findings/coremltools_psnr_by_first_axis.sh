#!/usr/bin/env bash
# Packages: coremltools 9.0
# Guess:    compute_snr_and_psnr, which coremltools gives for comparing a compressed model with its original, averages the squared
#           error over all values.
# Happens:  it sums over all values and divides by the length of the first axis. For a batch of one picture, 1x3x64x64, the error is
#           12288 times too large: 40 dB read as -0.8 dB. The same values as a flat array give 40 dB. SNR is right by
#           chance: signal and error are both divided so.
# Matters:  the documented use, "find operations below 40 dB", flags every layer of a vision network, and a comparison of two
#           networks depends on the layout of their outputs.
# Sources:  docstring of coremltools.models.ml_program.experimental.debugging_utils.compute_snr_and_psnr: its example is a flat
#           array, its parameters are arrays of any shape.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 coremltools==9.0
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import numpy as np
from coremltools.models.ml_program.experimental.debugging_utils import compute_snr_and_psnr

rng = np.random.default_rng(0)
original = rng.random((1, 3, 64, 64)).astype(np.float32)
changed = original + rng.normal(0, 0.01, original.shape).astype(np.float32)
true = 10 * np.log10(original.max() ** 2 / np.mean((changed - original) ** 2))
picture, flat = compute_snr_and_psnr(changed, original), compute_snr_and_psnr(changed.ravel(), original.ravel())
print(f"true PSNR {true:.2f} dB; as 1x3x64x64: SNR {picture[0]:.2f}, PSNR {picture[1]:.2f} dB; flat: SNR {flat[0]:.2f}, PSNR {flat[1]:.2f} dB")
assert abs(flat[1] - true) < 0.1
assert abs(picture[1] - (true - 10 * np.log10(original.size))) < 0.1, "it used to divide by the first axis"
PY
