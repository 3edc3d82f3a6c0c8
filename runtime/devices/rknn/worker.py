"""The worker's runner for Rockchip's toolkit, in the toolkit's own Python: converts an ``.onnx`` file and simulates it.

It is not in ``runtime/runners``, since it runs on no unit of this machine. ``rknn.family`` passes its path to the
worker.

Options:
    chip: the toolkit's name of the chip, such as ``rk3588``.
    keep: path of the ``.rknn`` file to write (default: not written).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.runtime.devices.rknn import log as rknn_log

if TYPE_CHECKING:
    from clearport.base import Array

QUANTIZED, FLOAT = 2, 3
"""Optimization levels: 3 is the toolkit's default, which it warns may cost a quantized model accuracy; 2 does not."""


class RknnSession:
    """A converted model on the toolkit's simulator."""

    def __init__(self, path: Path, chip: str, keep: str | None) -> None:
        import onnx

        graph = onnx.load(path, load_external_data=False).graph
        constants = {each.name for each in graph.initializer}
        self._inputs = [each.name for each in graph.input if each.name not in constants]
        self._outputs = [each.name for each in graph.output]
        self._quantized = any(node.op_type == "QuantizeLinear" for node in graph.node)
        self._chip = chip
        os.chdir(tempfile.mkdtemp())  # it writes the graph after each of its steps to the working folder
        self._model = _toolkit().RKNN(verbose=True)
        self._convert(path, keep)

    def _convert(self, path: Path, keep: str | None) -> None:
        level = QUANTIZED if self._quantized else FLOAT
        model = self._model
        _step(lambda: model.config(target_platform=self._chip, optimization_level=level))
        _step(lambda: model.load_onnx(str(path)))
        _step(lambda: model.build(do_quantization=False))
        self._said = _printed()
        if keep is not None:
            _step(lambda: model.export_rknn(keep))
        _step(model.init_runtime)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = [np.ascontiguousarray(inputs[name]) for name in self._inputs]
        outputs = self._model.inference(given, data_format=["nchw"] * len(given))
        if outputs is None:
            raise RuntimeError("; ".join(rknn_log.errors(_printed())) or "the simulator returned no output")
        return dict(zip(self._outputs, outputs, strict=True))

    def facts(self) -> dict[str, Any]:
        """Facts from the toolkit's table of layers; without a table the units are unknown."""
        table = rknn_log.layers(self._said)
        units = rknn_log.per_unit(table)
        return {
            "unit": "+".join(units) or "unknown",
            "partitions": None,
            "operators": dict(Counter(layer.operator for layer in table)),
            "operators_per_unit": units,
            "left_to_cpu": [f"{layer.operator} {layer.name}".strip() for layer in table if layer.unit != "npu"],
            "executed_precision": rknn_log.precision(table),
            "memory_kib": rknn_log.memory_kib(self._said),
            "optimization_level": QUANTIZED if self._quantized else FLOAT,
            "emulated": f"Rockchip's simulator of an {self._chip.upper()} ({platform.machine()})",
        }


def _step(call: Callable[[], int]) -> None:
    """One call of the toolkit, which reports failures by return code, exception, or both.

    Raises:
        RuntimeError: the call failed; quotes the toolkit.
    """
    try:
        code = call()
    except Exception as error:
        code, last = -1, str(error).strip().splitlines()[-1:]
    else:
        last = []
    if code != 0:
        raise RuntimeError("; ".join(rknn_log.errors(_printed())) or "".join(last) or f"the toolkit returned {code}")


def _printed() -> str:
    """The output of this process so far, from the worker's log file."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # native code has its own buffers
    return Path("/proc/self/fd/2").read_text(errors="replace")


def _toolkit() -> Any:
    """The library, imported by name: it is not a dependency, so type checkers do not know it."""
    return importlib.import_module("rknn.api")


class RknnRunner:
    """See ``clearport.protocols.Runner``."""

    name = "rknn"
    title = "Rockchip's toolkit (simulator)"
    targets = ("onnxruntime",)
    requires = ("rknn-toolkit2",)
    extra = "rknn"
    units = ("npu",)
    measures_latency = False
    method = "ran on Rockchip's simulator"

    def prepare(self) -> None:
        """Import the toolkit, so that ``init_ms`` excludes it."""
        _toolkit()

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> RknnSession:
        return RknnSession(path, str(options["chip"]), options.get("keep"))


RUNNER = RknnRunner()
