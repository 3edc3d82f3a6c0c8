"""Core AI files run in a process of their own: the beta may end a process that has run one when that process ends."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from clearport.disk.leftovers import Scratch
from clearport.registry import RUNNERS


@functools.cache
def process() -> ProcessPoolExecutor:
    """The one process of this test run; its temporary files vanish with this one, however it ends."""
    scratch = Scratch("worker")
    atexit.register(scratch.close)
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_settle, initargs=(str(scratch.folder),))


def _settle(folder: str) -> None:
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def run(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a file."""
    return process().submit(_run, path, inputs).result()


def _run(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = RUNNERS.get("coreai").open(path, 1, {}).run(inputs)
    return found


def tensors(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of the function ``tensors`` of a file, as Core AI has them."""
    return process().submit(_tensors, path, inputs).result()


def _tensors(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import asyncio

    from coreai.authoring import AIModelAsset
    from coreai.runtime import NDArray

    async def called() -> dict[str, np.ndarray]:
        async with AIModelAsset.load(path).executable() as model:
            made = await model.load_function("tensors")({name: NDArray(array) for name, array in inputs.items()})
            return {name: np.array(value.numpy()) for name, value in made.items()}

    return asyncio.run(called())


def product(left: np.ndarray, right: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``left`` times ``right``, which is brought to ``shape`` first, by a program that no writer has touched."""
    return process().submit(_product, left, right, shape).result()


def _product(left: np.ndarray, right: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from clearport.export.coreai import beta
    from clearport.export.coreai.tools import authoring

    ai = authoring()
    ends = [beta.End(name, array.shape, np.float32) for name, array in (("left", left), ("right", right))]
    result = beta.End("result", (*left.shape[:-1], shape[-1]), np.float32)
    program = beta.build(ends, [result], lambda a, b: [ai.batch_matmul(a, ai.reshape(b, np.array(shape, np.int32)))])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "product.aimodel"
        beta.save(program, beta.About("", "", "", {}), path)
        return _run(path, {"left": left, "right": right})["result"]
