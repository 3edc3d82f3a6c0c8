"""PyTorch on a bundle's network file: the latency baseline and the reference of float parity.

The file is the weights of one of clearport's networks (``.safetensors``; tensor names from its contract), or an
exported program (``.pt2``, with its own tensor names). Tensors are float32, NCHW, in the network's value range.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

    from clearport.base import Array


class TorchSession:
    """A module in eval mode on the CPU, or on another ``device`` of PyTorch's."""

    def __init__(self, path: Path, threads: int, device: str = "cpu") -> None:
        import torch

        torch.set_num_threads(threads)
        self._device = device
        self._module, self._inputs, self._outputs = _opened(path, device)
        self._bound: tuple[torch.Tensor, ...]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        from torch.utils._pytree import tree_leaves

        self.bind(inputs)
        results = [value.contiguous().cpu().numpy() for value in tree_leaves(self.invoke())]
        return dict(zip(self._outputs, results, strict=True))

    def bind(self, inputs: Mapping[str, Array]) -> None:
        import torch

        arrays = [inputs[name] for name in self._inputs] if len(self._inputs) > 1 else list(inputs.values())
        self._bound = tuple(torch.from_numpy(array).to(self._device) for array in arrays)

    def invoke(self) -> Any:
        import torch

        with torch.inference_mode():
            return self._module(*self._bound)

    def profile(self, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Self time of each operator type in one inference, in milliseconds."""
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


def _opened(path: Path, device: str) -> tuple[nn.Module, tuple[str, ...], tuple[str, ...]]:
    """The module, and the names of its inputs and outputs."""
    if path.suffix == ".pt2":
        from clearport.models import pt2

        program, inputs, outputs = pt2.load(path)
        module: nn.Module = program.module(check_guards=False)
        return module.to(device), inputs, outputs
    from safetensors import safe_open

    from clearport.graph import shapes
    from clearport.models import normalized, weights
    from clearport.registry import NETWORKS

    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
    if not {"network", "scale"} <= about.keys():
        raise ValueError("the file does not name its network: it was not written by clearport")
    spec, scale = NETWORKS.get(about["network"]), int(about["scale"])
    taken, given = shapes.contract(spec, scale)
    loaded = normalized.module(weights.load(spec, scale, path).module, taken).eval()
    return loaded.to(device), tuple(each.name for each in taken), tuple(each.name for each in given)


class TorchRunner:
    """See ``clearport.protocols.Runner``."""

    name = "torch"
    title = "PyTorch (CPU)"
    targets = ("torch",)
    requires = ("torch", "safetensors")
    measures_latency = True
    method = "ran on PyTorch"

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        import torch  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> TorchSession:
        return TorchSession(path, threads)


RUNNER = TorchRunner()
