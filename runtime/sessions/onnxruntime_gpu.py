"""Shared code of the runners for ONNX Runtime's GPU providers: a separate Python, and the provider of every node.

A provider that cannot start is an error here; by default ONNX Runtime would continue on the CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearport.registry import missing
from clearport.runtime import vulkan
from clearport.runtime.other_python import named_python
from clearport.runtime.runners.onnxruntime import OnnxRuntimeModel


@dataclass(frozen=True)
class GpuProvider:
    """One GPU provider.

    Attributes:
        name, title, method: those of its runner.
        distribution: the wheel that contains it.
        provider: ONNX Runtime's name for it.
        variable: the environment variable that may name the Python that has it.
        settings: provider options.
        webgpu: whether it goes through WebGPU, on Linux over Vulkan.
    """

    name: str
    title: str
    method: str
    distribution: str
    provider: str
    variable: str
    settings: Mapping[str, str] = field(default_factory=dict)
    webgpu: bool = False


class GpuModel(OnnxRuntimeModel):
    """A loaded model on a GPU provider. Every inference copies the inputs to the GPU and the outputs back."""

    def __init__(self, path: Path, threads: int, about: GpuProvider) -> None:
        import onnxruntime

        offered = onnxruntime.get_available_providers()
        if about.provider not in offered:
            raise RuntimeError(f"onnxruntime {onnxruntime.__version__} here supports {', '.join(offered)} only")
        self._about = about
        super().__init__(path, threads, True, ((about.provider, dict(about.settings)),))

    def facts(self) -> dict[str, Any]:
        """The kernels of each unit, and whether the GPU is a software driver."""
        emulated = vulkan.for_webgpu().emulated if self._about.webgpu and vulkan.on_linux() else None
        return super().facts() | ({"emulated": emulated} if emulated else {})


class GpuRunner:
    """See ``clearport.protocols.Runner``."""

    targets = ("onnxruntime",)
    units = ("gpu",)
    extra = "onnxruntime"
    measures_latency = True

    def __init__(self, about: GpuProvider) -> None:
        self._about = about
        self.name, self.title, self.method = about.name, about.title, about.method
        self.requires = (about.distribution,)

    def interpreter(self) -> str | None:
        """The worker's Python interpreter; None if none has the provider.

        Raises:
            BadInput: the variable does not name a file.
        """
        named = named_python(self._about.variable, self._about.distribution)
        return named or (None if missing(self.requires) else sys.executable)

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        about = self._about
        if self.interpreter() is None:
            return f"{about.distribution} is not installed; {about.variable} may name a Python that has it"
        if about.webgpu and vulkan.on_linux():
            return vulkan.for_webgpu().obstacle
        return None

    def prepare(self) -> None:
        """Import the runtime and choose the Vulkan driver, so that ``init_ms`` excludes both."""
        if self._about.webgpu:
            vulkan.choose_for_webgpu()
        import onnxruntime

        if not self._about.webgpu:
            getattr(onnxruntime, "preload_dlls", lambda: None)()  # CUDA's libraries from NVIDIA's wheels

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> GpuModel:
        if path.suffix == ".ort":
            raise ValueError(".ort files are optimized for the CPU: use the .onnx file")
        return GpuModel(path, threads, self._about)
