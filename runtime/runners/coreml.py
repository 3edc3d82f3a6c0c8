"""Core ML itself, through coremltools' ``predict``: macOS only.

Options:
    unit: which units Core ML may use: ``all`` (default), ``cpu``, ``gpu`` (with the CPU) or ``npu`` (the Neural Engine,
        with the CPU).

The unit of each operation is read from Core ML's compute plan (macOS 14.4 and later), since allowed units need not be
used.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.errors import BadInput, RuntimeFailure
from clearport.export.coreml.tools import load

if TYPE_CHECKING:
    from clearport.base import Array

_UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "npu": "CPU_AND_NE"}
_DEVICES = {"MLCPUComputeDevice": "cpu", "MLGPUComputeDevice": "gpu", "MLNeuralEngineComputeDevice": "npu"}


class CoreMLSession:
    """A compiled model. ``bind`` and ``invoke`` exclude the conversion of images from a measurement."""

    def __init__(self, path: Path, unit: str) -> None:
        ct = load()
        self._units = ct.ComputeUnit[_UNITS[unit]]
        self._asked = unit
        self._model = ct.models.MLModel(str(path), compute_units=self._units)
        self._bound: dict[str, Any] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference; images are uint8 (1, H, W, C), RGB or gray, everything else is float32 or int32."""
        self.bind(inputs)
        return {name: _from_coreml(value) for name, value in self._model.predict(self._bound).items()}

    def bind(self, inputs: Mapping[str, Array]) -> None:
        """Convert inputs to Core ML types."""
        self._bound = {name: _to_coreml(array) for name, array in inputs.items()}

    def invoke(self) -> None:
        """One inference on the bound inputs."""
        self._model.predict(self._bound)

    def facts(self) -> dict[str, Any]:
        """The planned units, joined by ``+``, and the operations of each."""
        try:
            planned = self._planned()
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            return {"unit": "unknown", "allowed": self._asked, "compute_plan": f"not available: {error}"}
        return {
            "unit": "+".join(sorted(planned)) or "unknown",
            "allowed": self._asked,
            "operators_per_unit": {unit: dict(sorted(kinds.items())) for unit, kinds in sorted(planned.items())},
        }

    def _planned(self) -> dict[str, Counter[str]]:
        """Unit -> operation type -> number of operations planned for it."""
        from coremltools.models.compute_plan import MLComputePlan

        plan = MLComputePlan.load_from_path(self._model.get_compiled_model_path(), self._units)
        program = plan.model_structure.program
        if program is None:
            raise ValueError("not an mlProgram")
        found: dict[str, Counter[str]] = {}
        for operation in program.functions["main"].block.operations:
            usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
            if usage is not None:  # constants have no unit
                name = type(usage.preferred_compute_device).__name__
                found.setdefault(_DEVICES.get(name, name), Counter())[operation.operator_name] += 1
        return found


def _to_coreml(array: Array) -> Any:
    if array.dtype != np.uint8:
        return array
    from PIL import Image

    return Image.fromarray(array[0, ..., 0] if array.shape[-1] == 1 else array[0])


def _from_coreml(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    picture = value if value.mode == "L" else value.convert("RGB")
    pixels = np.asarray(picture, dtype=np.uint8)[None]
    return pixels[..., None] if picture.mode == "L" else pixels


class CoreMLRunner:
    """The runner; see the module."""

    name = "coreml"
    title = "Core ML"
    targets = ("coreml",)
    units = ("cpu", "gpu", "npu")
    requires = ("coremltools",)
    measures_latency = True
    method = "ran on Core ML"

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        return None if sys.platform == "darwin" else "Core ML runs on macOS only"

    def prepare(self) -> None:
        """Import what ``open`` needs, so that its time excludes imports."""
        load()

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> CoreMLSession:
        """Compile and load the package; Core ML chooses its own threads.

        Raises:
            RuntimeFailure: Core ML is not available.
            BadInput: ``unit`` is not one of Core ML's.
        """
        del threads
        reason = self.unavailable()
        if reason is not None:
            raise RuntimeFailure(f"{path}: {reason}")
        unit = options.get("unit", "all")
        if unit not in _UNITS:
            raise BadInput(f"unit {unit!r}: Core ML supports {', '.join(_UNITS)}")
        return CoreMLSession(path, unit)


RUNNER = CoreMLRunner()
