"""OpenVINO on Intel's NPU (Core Ultra): an IR folder (``<name>.openvino/``) or its ``.xml``.

The file is compiled for the NPU by name, which runs it completely or refuses it; OpenVINO moves nothing to the CPU.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.runtime.runners.openvino import Bound, units_of, xml_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Array

DEVICE = "NPU"
_DRIVER = Path("/sys/bus/pci/drivers/intel_vpu")


class OpenVinoNpuSession(Bound):
    """A compiled model."""

    def __init__(self, path: Path) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(xml_of(path))
        self._operators = Counter(op.get_type_name() for op in model.get_ops())
        self._compiled = core.compile_model(model, DEVICE, {"PERFORMANCE_HINT": "LATENCY"})
        self._request = self._compiled.create_infer_request()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = self._request.infer(dict(inputs))
        return {port.get_any_name(): array.copy() for port, array in results.items()}

    def facts(self) -> dict[str, Any]:
        """The device that OpenVINO reports; the operators are the file's, since the NPU's compiler reports none."""
        operators = dict(sorted(self._operators.items()))
        devices = units_of(self._compiled.get_property("EXECUTION_DEVICES"))
        return {
            "unit": "+".join(devices),
            "partitions": 1,
            "operators": operators,
            "operators_per_unit": {devices[0]: operators} if len(devices) == 1 else {},
            "executed_precision": "int8" if "FakeQuantize" in operators else "float16",
        }


class OpenVinoNpuRunner:
    """See ``clearport.protocols.Runner``."""

    name = "openvino_npu"
    title = "OpenVINO (Intel NPU)"
    targets = ("openvino",)
    requires = ("openvino",)
    extra = "openvino"
    units = ("npu",)
    measures_latency = True
    method = "ran on OpenVINO, Intel NPU"

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None. OpenVINO would load its plugins, so it is not used."""
        if sys.platform == "win32":
            return None  # checked by the worker
        if sys.platform != "linux":
            return "OpenVINO's NPU plugin is available for Linux and Windows only"
        if not _DRIVER.is_dir():
            return "no Intel NPU (the kernel's intel_vpu driver is not loaded)"
        if not any(Path("/dev/accel").glob("accel*")):
            return "the NPU's device node /dev/accel/accel0 is missing"
        return None

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        import openvino  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> OpenVinoNpuSession:
        return OpenVinoNpuSession(path)


RUNNER = OpenVinoNpuRunner()
