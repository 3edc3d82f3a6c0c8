"""Core AI files run in a process of their own: the beta may end a process that has run one when that process ends."""

from __future__ import annotations

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from clearport.registry import RUNNERS


@functools.cache
def process() -> ProcessPoolExecutor:
    """The one process of this test run."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def run(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a file gives."""
    return process().submit(_run, path, inputs).result()


def _run(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = RUNNERS.get("coreai").open(path, 1, {}).run(inputs)
    return found
