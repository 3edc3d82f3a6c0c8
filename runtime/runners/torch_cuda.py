"""PyTorch on an NVIDIA GPU, or an AMD one through ROCm: weights that clearport wrote, computed in float32."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.registry import missing
from clearport.runtime.runners.torch import TorchSession

if TYPE_CHECKING:
    pass

DEVICE = "cuda"


class TorchCudaSession(TorchSession):
    """A module in eval mode on the GPU. Measurements exclude copies to and from it."""

    def __init__(self, path: Path, threads: int) -> None:
        import torch

        # TensorFloat-32 rounds factors to 10 mantissa bits: too few for parity.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        super().__init__(path, threads, DEVICE)

    def invoke(self) -> Any:
        import torch

        result = super().invoke()
        torch.cuda.synchronize()
        return result

    def facts(self) -> dict[str, Any]:
        """PyTorch runs every operator where its tensors are."""
        import torch

        unit = "gpu" if next(self._module.parameters()).is_cuda else "cpu"
        return {**super().facts(), "unit": unit, "device": torch.cuda.get_device_name(), "device_kind": "discrete"}


class TorchCudaRunner:
    """See ``clearport.protocols.Runner``."""

    name = "torch_cuda"
    title = "PyTorch (CUDA)"
    targets = ("torch",)
    requires = ("torch", "safetensors")
    units = ("gpu",)
    measures_latency = True
    method = "ran on PyTorch, CUDA"

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        return None if missing(self.requires) else _obstacle()

    def prepare(self) -> None:
        """Start CUDA, so that ``init_ms`` excludes it."""
        import torch

        torch.zeros(1, device=DEVICE)

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TorchCudaSession:
        return TorchCudaSession(path, threads)


@cache
def _obstacle() -> str | None:
    import torch

    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} is built without CUDA"
    return "PyTorch finds no CUDA device, or no driver for it"


RUNNER = TorchCudaRunner()
