"""OpenVINO on Intel's GPU: an IR folder (``<name>.openvino/``) or its ``.xml``.

The file is compiled for the GPU by name and runs there completely; OpenVINO moves nothing to the CPU. The plugin uses
OpenCL, whose LLVM conflicts with TensorFlow's: only the worker loads it.

Options:
    precision: ``INFERENCE_PRECISION_HINT``: ``f32`` (default) is needed for parity; ``default`` is OpenVINO's f16.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearport.runtime.runners.openvino import OpenVinoModel

_RENDER_NODES = Path("/dev/dri")
_OPENCL_DRIVERS = Path("/etc/OpenCL/vendors")


class OpenVinoGpuModel(OpenVinoModel):
    """A compiled model on the GPU. Every inference copies the inputs to the GPU and the outputs back."""

    device = "GPU"

    def facts(self) -> dict[str, Any]:
        """The facts of ``OpenVinoModel``, with the GPU's name."""
        found = super().facts()
        name = str(self._core.get_property(self.device, "FULL_DEVICE_NAME"))
        return {**found, "operators_per_unit": {found["unit"]: found["operators"]}, "device": name}


class OpenVinoGpuRunner:
    """See ``clearport.protocols.Runner``."""

    name = "openvino_gpu"
    title = "OpenVINO (Intel GPU)"
    targets = ("openvino",)
    requires = ("openvino",)
    units = ("gpu",)
    measures_latency = True
    method = "ran on OpenVINO, Intel GPU"

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None. OpenVINO would load its plugins, so it is not used."""
        if sys.platform == "win32":
            return None  # checked by the worker
        if sys.platform != "linux":
            return "OpenVINO's GPU plugin is available for Linux and Windows only"
        if not any(_RENDER_NODES.glob("renderD*")):
            return "there is no GPU (no /dev/dri/renderD*)"
        if not any(_OPENCL_DRIVERS.glob("*intel*.icd")):
            return "Intel's OpenCL driver is not installed (Debian's package intel-opencl-icd)"
        return None

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        import openvino  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> OpenVinoGpuModel:
        return OpenVinoGpuModel(path, {}, str(options.get("precision", "f32")))


RUNNER = OpenVinoGpuRunner()
