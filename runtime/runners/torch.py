"""PyTorch itself, on weights that clearport wrote: the baseline of every latency and the reference of float parity.

Takes and gives float32 NCHW in the network's value range, under the names ``image`` and ``restored``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from clearport.base import Array


class TorchSession:
    """A module in eval mode on the CPU, or on another ``device`` of PyTorch's."""

    def __init__(self, path: Path, threads: int, device: str = "cpu") -> None:
        import torch
        from safetensors import safe_open

        from clearport.models import weights
        from clearport.registry import NETWORKS

        torch.set_num_threads(threads)
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
        if not {"network", "scale"} <= about.keys():
            raise ValueError("the file does not say which network it holds: it was not written by clearport")
        self._device = device
        self._module = weights.load(NETWORKS.get(about["network"]), int(about["scale"]), path).module.to(device)
        self._bound: torch.Tensor

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.bind(inputs)
        return {"restored": self.invoke().contiguous().cpu().numpy()}

    def bind(self, inputs: Mapping[str, Array]) -> None:
        import torch

        (array,) = inputs.values()
        self._bound = torch.from_numpy(array).to(self._device)  # (1, 3, H, W)

    def invoke(self) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            result: torch.Tensor = self._module(self._bound)
        return result

    def profile(self, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Milliseconds that each kind of operator takes of one inference, without what it calls."""
        import torch

        self.bind(inputs)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            self.invoke()
        return [
            {"name": e.key, "operator": e.key, "unit": "cpu", "ms": e.self_cpu_time_total / 1e3}
            for e in profiler.key_averages()
            if e.self_cpu_time_total
        ]

    def facts(self) -> dict[str, Any]:
        """PyTorch runs every operator of an eager module on the CPU."""
        return {"unit": "cpu", "partitions": 1, "executed_precision": "float32"}


class TorchRunner:
    """See ``clearport.protocols.Runner``."""

    name = "torch"
    title = "PyTorch (CPU)"
    targets = ("torch",)
    requires = ("torch", "safetensors")
    measures_latency = True
    method = "ran on PyTorch"

    def prepare(self) -> None:
        """Import the runtime, before the clock of ``init_ms`` starts."""
        import torch  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TorchSession:
        return TorchSession(path, threads)


RUNNER = TorchRunner()
