#!/usr/bin/env bash
# Packages: coreai-core 1.0.0b3
# Guess:    a float16 product of matrices adds in float32 and rounds once, as this package's own reduce_sum does.
# Happens:  on Linux its terms are added one after the other in float16. Positive terms: off by 0.1 % after 128, 1.7 % after 1536 and
#           7 % after 4096, exactly as NumPy's float16 does when told so. reduce_sum over the same terms is right to its last bit.
# Matters:  attention over all pixels is such a product; a thousand pixels are a picture of 32x32. Nothing is raised.
# Sources:  the docstrings of coreai.authoring.batch_matmul and reduce_sum do not name the type that is added in.
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

async def result(given, shape, body):
    module = ai.Module.create()
    with module:
        types = {name: Annotated[ai.Value, ai.TensorType(array.shape, np.float16)] for name, array in given.items()}
        body.__annotations__ = {**types, "return": Annotated[ai.Value, ai.TensorType(shape, np.float16, name="y")]}
        ai.graph(body, provided_name="main")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sums.aimodel"
        ai.AIProgram(module).save_asset(path)
        async with ai.AIModelAsset.load(path).executable() as model:
            fed = {name: coreai.runtime.NDArray(array) for name, array in given.items()}
            return np.array((await model.load_function("main")(fed))["y"].numpy()).astype(np.float64)

def off(found, wanted):
    return float(np.sqrt(np.mean(np.square(found / wanted - 1))))

async def main():
    for terms, least in ((128, 1e-3), (512, 3e-3), (1536, 1e-2), (4096, 5e-2)):
        left = np.random.default_rng(0).random((1, 8, terms)).astype(np.float16)
        right = np.ascontiguousarray(left.transpose(0, 2, 1))
        wanted = left.astype(np.float64) @ right.astype(np.float64)
        def product(left, right):
            return ai.batch_matmul(left, right)
        def total(left):
            return ai.reduce_sum(left, np.array([2], np.int32))
        said = off(await result({"left": left, "right": right}, (1, 8, 8), product), wanted)
        running = np.zeros((8, 8), np.float16)
        for term in range(terms):
            running = running + np.outer(left[0, :, term], right[0, term])
        summed = off(await result({"left": left}, (1, 8, 1), total), left.astype(np.float64).sum(2, keepdims=True))
        print(f"{terms} terms: product off by {said:.2g}, a float16 sum by {off(running, wanted):.2g}, reduce_sum by {summed:.2g}")
        assert least < said < 1.2 * off(running, wanted)
        assert summed < 2**-11
    sys.stdout.flush()
    os._exit(0)  # the beta may abort when a process ends

asyncio.run(main())
PY
