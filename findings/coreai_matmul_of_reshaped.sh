#!/usr/bin/env bash
# Packages: coreai-core 1.0.0b3
# Guess:    batch_matmul gives the product of two matrices, whatever they come from: reshape only says how numbers are counted.
# Happens:  where the second matrix is the output of reshape and has 8 rows and 64, 96 or 128 columns, the result is not the product:
#           it is off by more than its own size. After a multiplication by one, or with 7 or 9 rows, it is right.
# Matters:  attention over pixels with 8 channels reshapes (1, 8, H, W) to (1, 8, H*W) right before the product; small test pictures
#           have just these sizes. No error is raised.
# Sources:  the docstrings of coreai.authoring.batch_matmul and reshape state no limits.
set -euo pipefail
case "$(uname -s) $(uname -m)" in "Linux x86_64") ;; *) echo "the package is for Linux on x86-64: nothing to show here" && exit 0 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 coreai-core==1.0.0b3
cd "$work"
venv/bin/python - <<'PY' 2>log || { cat log; exit 1; }
import asyncio
import os
import pathlib
import sys
import tempfile
from typing import Annotated

import coreai.authoring as ai
import coreai.runtime
import numpy as np

async def product(left, right, shape, times_one):
    module = ai.Module.create()
    with module:
        def body(left, right):
            matrix = ai.reshape(right, np.array(shape, np.int32))
            return ai.batch_matmul(left, ai.broadcasting_mul(matrix, np.float32(1)) if times_one else matrix)
        body.__annotations__ = {"left": Annotated[ai.Value, ai.TensorType(left.shape, np.float32)],
                                "right": Annotated[ai.Value, ai.TensorType(right.shape, np.float32)],
                                "return": Annotated[ai.Value, ai.TensorType((1, left.shape[1], shape[2]), np.float32, name="y")]}
        ai.graph(body, provided_name="main")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "product.aimodel"
        ai.AIProgram(module).save_asset(path)
        async with ai.AIModelAsset.load(path).executable() as model:
            given = {"left": coreai.runtime.NDArray(left), "right": coreai.runtime.NDArray(right)}
            return np.array((await model.load_function("main")(given))["y"].numpy())

async def main():
    generator = np.random.default_rng(0)
    for rows, height, width, wrong in ((8, 8, 8, True), (8, 8, 12, True), (8, 8, 16, True), (8, 4, 8, False), (8, 16, 16, False),
                                       (7, 8, 8, False), (9, 8, 8, False)):
        left = generator.standard_normal((1, 64, rows), np.float32)
        picture = generator.standard_normal((1, rows, height, width), np.float32)
        shape = (1, rows, height * width)
        wanted = left @ picture.reshape(shape)
        far = [float(np.abs(await product(left, picture, shape, times_one) - wanted).max()) for times_one in (False, True)]
        print(f"{rows} rows, {height * width} columns: off by {far[0]:.2g}, times one {far[1]:.2g}, of {np.abs(wanted).max():.1f}")
        assert far[1] < 1e-4
        assert far[0] > 1 if wrong else far[0] < 1e-4
    sys.stdout.flush()
    os._exit(0)  # the beta may abort when a process ends

asyncio.run(main())
PY
