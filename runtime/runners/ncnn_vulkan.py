"""ncnn on a GPU through Vulkan: a folder ``<name>.ncnn/`` or its ``.param``.

Options:
    half: what is float16: ``nothing`` (default for fp32 files), ``stored``: weights and blobs (default for fp16
        files), or ``all``: arithmetic as well, ncnn's default: faster, but less accurate (NCNet 68 dB, not 76).
    device: index of the Vulkan device (default: ncnn's choice).

Layers without a Vulkan form run on the CPU, with a copy there and back; ``operators_per_unit`` names them. A Vulkan
driver for the CPU (llvmpipe, SwiftShader) proves the shaders, but not their latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.registry import missing
from clearport.runtime import vulkan

if TYPE_CHECKING:
    from clearport.runtime.sessions.ncnn import NcnnModel

_HINT = "install the GPU's Vulkan driver, or mesa-vulkan-drivers for one in software"


class NcnnVulkanRunner:
    """See ``clearport.protocols.Runner``."""

    name = "ncnn_vulkan"
    title = "ncnn (Vulkan)"
    targets = ("ncnn",)
    requires = ("ncnn",)
    units = ("gpu",)
    measures_latency = True
    method = "ran on ncnn, Vulkan"

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        if missing(self.requires) or not vulkan.on_linux():
            return None  # the former is reported elsewhere, the latter by the worker
        obstacle = vulkan.installed().obstacle
        return f"{obstacle}: {_HINT}" if obstacle else None

    def prepare(self) -> None:
        """Import the runtime and start Vulkan, so that ``init_ms`` excludes both."""
        import ncnn

        ncnn.get_gpu_count()

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> NcnnModel:
        import ncnn

        from clearport.runtime.sessions.ncnn import HALVES, NcnnModel, is_half

        count = ncnn.get_gpu_count()
        if not count:
            raise RuntimeError(f"ncnn finds no Vulkan device: {_HINT}")
        device = int(options.get("device", ncnn.get_default_gpu_index()))
        if not 0 <= device < count:
            raise ValueError(f"device {device}: ncnn finds {count}, counted from 0")
        half = options.get("half", "stored" if is_half(path) else "nothing")
        if half not in HALVES:
            raise ValueError(f"half {half!r}: expected one of {', '.join(HALVES)}")
        return NcnnModel(path, threads, device, half)


RUNNER = NcnnVulkanRunner()
