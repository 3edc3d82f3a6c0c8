"""LiteRT's NPU path: its compiler plugin and dispatch library for Intel's OpenVINO. ``.tflite`` files.

If OpenVINO finds an NPU, it compiles for it. Otherwise the same plugin, partitioning and dispatch run on OpenVINO's CPU
device, which shows whether the path supports a file and what the outputs are, but not its latency. LiteRT's CPU is not
among the requested accelerators, so a file that the plugin does not support completely is refused.

The plugin is built against one version of OpenVINO and loads only that. ``CLEARPORT_LITERT_NPU_PYTHON`` names a Python
that has it (and numpy)::

    python -m venv npu && npu/bin/pip install ai-edge-litert==2.3.0 openvino==2026.3.1
    CLEARPORT_LITERT_NPU_PYTHON=npu/bin/python clearport bench bundle --unit npu

Options:
    device: ``npu`` or ``cpu`` (default: the NPU if OpenVINO finds one).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.registry import installed_versions
from clearport.runtime.other_python import named_python

if TYPE_CHECKING:
    from clearport.base import Array

VARIABLE = "CLEARPORT_LITERT_NPU_PYTHON"
OPENVINO = "2026.3."
"""The version that LiteRT 2.3's plugin is built against."""
_PARTITION = re.compile(r"selected (\d+) ops, from a total of (\d+) ops\. resulted in (\d+) partitions")
_DEVICE = re.compile(r"Using Intel OpenVINO device: (\w+)")


def interpreter() -> str | None:
    """The worker's Python interpreter; None if none has the runtime.

    Raises:
        BadInput: the variable does not name a file.
    """
    if named := named_python(VARIABLE, "ai-edge-litert and openvino"):
        return named
    here = installed_versions(("openvino", "ai-edge-litert"))
    fits = (here["openvino"] or "").startswith(OPENVINO) and here["ai-edge-litert"]
    return sys.executable if fits else None


class LiteRtNpuSession:
    """A loaded model. ``bind`` and ``invoke`` exclude copies of inputs and outputs from a measurement."""

    def __init__(self, path: Path, device: str) -> None:
        from ai_edge_litert import compiled_model, hardware_accelerator, options

        wanted = options.Options(hardware_accelerators=hardware_accelerator.HardwareAccelerator.NPU)
        backends = options.IntelOpenVinoGraphBackend
        wanted.intel_openvino_options.graph_backend = backends.NPU if device == "npu" else backends.CPU
        self._model, said = _listening(lambda: compiled_model.CompiledModel.from_file(str(path), options=wanted))
        self._evidence = evidence(said)
        if self._evidence["partitions"] == 0 or not self._model.is_fully_accelerated():
            raise ValueError(f"LiteRT's plugin for OpenVINO did not accept {path.name}: it would run on the CPU")
        [self._signature] = self._model.get_signature_list()
        self._inputs = self._model.get_input_tensor_details(self._signature)
        self._outputs = self._model.get_output_tensor_details(self._signature)
        self._sources = {name: self._model.create_input_buffer_by_name(self._signature, name) for name in self._inputs}
        self._results = {
            name: self._model.create_output_buffer_by_name(self._signature, name) for name in self._outputs
        }
        self._operators = _census(path)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.bind(inputs)
        self.invoke()
        return {name: self._read(name) for name in self._outputs}

    def bind(self, inputs: Mapping[str, Array]) -> None:
        for name, array in inputs.items():
            details = self._inputs[name]
            if (list(array.shape), str(array.dtype)) != (list(details["shape"]), details["dtype"]):
                raise ValueError(f"{name}: the file expects {details['dtype']} {details['shape']}")
            self._sources[name].write(np.ascontiguousarray(array))

    def invoke(self) -> None:
        self._model.run_by_name(self._signature, self._sources, self._results)

    def facts(self) -> dict[str, Any]:
        """What the plugin and the dispatch library logged while the file was opened."""
        device = self._evidence["device"]
        found: dict[str, Any] = {
            "unit": "npu",
            "openvino_device": device,
            "partitions": self._evidence["partitions"],
            "operators": self._operators,
            "operators_per_unit": {"npu": self._operators},
            "executed_precision": "unknown",
        }
        if device != "NPU":
            found["emulated"] = f"OpenVINO's {device} device in place of an NPU"
        return found

    def _read(self, name: str) -> Array:
        details = self._outputs[name]
        shape = [int(n) for n in details["shape"]]
        array: Array = self._results[name].read(int(np.prod(shape)), np.dtype(details["dtype"]).type)
        return array.reshape(shape)


def evidence(said: str) -> dict[str, Any]:
    """From LiteRT's log: the number of partitions, their operators, and the device that runs them."""
    parts = [tuple(map(int, numbers)) for numbers in _PARTITION.findall(said)]
    whole = all(taken == total for taken, total, _ in parts)
    devices = _DEVICE.findall(said)
    return {
        "partitions": sum(count for _, _, count in parts) if whole and devices else 0,
        "device": devices[-1] if devices else "none",
    }


def _listening(call: Callable[[], Any]) -> tuple[Any, str]:
    """A call's result, and what native code wrote to stderr meanwhile (which is also passed on to stderr)."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            result = call()
        finally:
            os.dup2(kept, 2)
            log.seek(0)
            data = log.read()
            os.write(2, data)
            os.close(kept)
    return result, data.decode(errors="replace")


def _census(path: Path) -> dict[str, int]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    names = {n: name for name, n in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]
    kinds = [codes[op.opcodeIndex] for op in model.subgraphs[0].operators]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


class LiteRtNpuRunner:
    """See ``clearport.protocols.Runner``."""

    name = "litert_npu"
    title = "LiteRT (NPU by OpenVINO)"
    targets = ("tflite",)
    requires = ("ai-edge-litert", "openvino")
    extra = "tflite"
    units = ("npu",)
    measures_latency = True
    method = "ran on LiteRT, NPU"

    def interpreter(self) -> str | None:
        return interpreter()

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        if sys.platform == "darwin":
            return "LiteRT's plugin for OpenVINO is available for Linux and Windows only"
        if interpreter():
            return None
        return f"it needs OpenVINO {OPENVINO}x beside LiteRT; {VARIABLE} may name a Python that has both"

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        import ai_edge_litert.compiled_model  # noqa: F401  # imported for its side effect: the library is loaded
        import openvino  # noqa: F401  # so that the plugin finds OpenVINO's libraries

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> LiteRtNpuSession:
        import openvino

        device = options.get("device")
        if device is None:
            device = "npu" if any(name.startswith("NPU") for name in openvino.Core().available_devices) else "cpu"
        return LiteRtNpuSession(path, device)


RUNNER = LiteRtNpuRunner()
