#!/usr/bin/env bash
# Packages: ncnn 1.0.20261020
# Guess:    BinaryOp's power (operation 6) of zero to a positive exponent is zero, whatever the length of the blob.
# Happens:  where elements are computed in vectors, 0 to the power 0.5 or 1.8 is 2.4e38: the vector kernel goes
#           by exp(y * log(x)) with a logarithm that is not -inf at zero. The elements left over at the end of a row, which are
#           computed one by one, are right, so blobs of 1 to 3 elements show nothing.
# Matters:  gamma curves (x ** (1 / 2.2)) and mu-law of low-light and HDR networks meet zero in every black pixel. No error is raised.
# Sources:  https://github.com/Tencent/ncnn/wiki/binaryop-broadcasting lists pow; the kernel is src/layer/x86/avx_mathfun.h (pow256_ps).
set -euo pipefail
case "$(uname -m)" in x86_64 | amd64) ;; *) echo "seen with the kernels for x86-64 only: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 ncnn==1.0.20261020
cd "$work"
venv/bin/python - <<'PY'
from pathlib import Path

import ncnn
import numpy as np

def power(x, exponent):
    Path("net.param").write_text(f"7767517\n2 2\nInput a 0 1 x\nBinaryOp p 1 1 x y 0=6 1=1 2={exponent}\n")
    Path("net.bin").write_bytes(b"")
    net = ncnn.Net()
    net.load_param("net.param")
    net.load_model("net.bin")
    extractor = net.create_extractor()
    extractor.input("x", ncnn.Mat(x).clone())
    return np.array(extractor.extract("y")[1])

for exponent in (0.5, 1.8, 3.0):
    for count in (1, 16):
        x = np.zeros(count, np.float32)
        y, one = power(x, exponent), power(np.full(count, 0.25, np.float32), exponent)
        print(f"{count} zeros to the power {exponent:g}: {np.unique(y)}; 0.25: {one[0]:.6g}")
        np.testing.assert_allclose(one, 0.25**exponent, rtol=1e-5)
        assert (y == 0).all() if count == 1 else not (y == 0).any()
PY
