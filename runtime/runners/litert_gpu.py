"""LiteRT's GPU accelerator: ``.tflite`` files through WebGPU (on Linux over Vulkan).

Options:
    half: whether the GPU may compute in float16, LiteRT's default (clearport's default: for files whose weights are
        float16).
    cpu: whether operators that the GPU does not support may run on LiteRT's CPU (default true); such a file's unit is
        ``gpu+cpu``.

The compiled model reports whether all operators run on the GPU. The GPU has no integer kernels: int8 files are computed
in float, with rounding to int8 where the file quantizes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.registry import missing
from clearport.runtime import vulkan

if TYPE_CHECKING:
    from clearport.base import Array


class LiteRtGpuModel:
    """A compiled model. The GPU computes while ``run`` reads the output, so copies cannot be timed separately."""

    def __init__(self, path: Path, threads: int, *, half: bool | None, cpu: bool) -> None:
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator
        from ai_edge_litert.options import CpuOptions, GpuOptions, Options

        self._operators, has_half = _census(path)
        self._half = has_half if half is None else half
        units = HardwareAccelerator.GPU | (HardwareAccelerator.CPU if cpu else 0)
        options = Options(
            hardware_accelerators=units,
            gpu_options=GpuOptions(enforce_f32=not self._half),
            cpu_options=CpuOptions(num_threads=threads),
        )
        self._model = CompiledModel.from_file(str(path), options=options)
        (self._signature,) = self._model.get_signature_list()
        self._allocate()

    def _allocate(self) -> None:
        model, key = self._model, self._signature
        self._takes, self._gives = model.get_input_tensor_details(key), model.get_output_tensor_details(key)
        self._sources = {name: model.create_input_buffer_by_name(key, name) for name in self._takes}
        self._results = {name: model.create_output_buffer_by_name(key, name) for name in self._gives}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """NHWC tensors by name; an input's H and W may be any size if they are dynamic in the file.

        Raises:
            ValueError: a name or dtype differs from the file's.
        """
        if set(inputs) != set(self._takes):
            raise ValueError(f"the file's inputs are {sorted(self._takes)}, not {sorted(inputs)}")
        for name, array in inputs.items():
            self._fit(name, array)
            self._sources[name].write(np.ascontiguousarray(array))
        self._model.run_by_name(self._signature, self._sources, self._results)
        return {name: self._read(name) for name in self._gives}

    def _fit(self, name: str, array: Array) -> None:
        details = self._takes[name]
        if str(array.dtype) != str(np.dtype(details["dtype"])):
            raise ValueError(f"{name}: the file expects {details['dtype']}, not {array.dtype}")
        if list(array.shape) != list(details["shape"]):
            self._model.resize_input_tensor_by_name(self._signature, name, list(array.shape))
            self._allocate()

    def _read(self, name: str) -> Array:
        details = self._gives[name]
        shape = [int(n) for n in details["shape"]]
        array: Array = self._results[name].read(int(np.prod(shape)), np.dtype(details["dtype"]).type)
        return array.reshape(shape)

    def facts(self) -> dict[str, Any]:
        """Whether the GPU runs everything; LiteRT does not report which operators it does not run."""
        whole = self._model.is_fully_accelerated()
        found: dict[str, Any] = {
            "unit": "gpu" if whole else "gpu+cpu",
            "partitions": 1 if whole else None,
            "operators": self._operators,
            "operators_per_unit": {"gpu": self._operators} if whole else {},
            "executed_precision": "float16 if the GPU supports it" if self._half else "float32",
        }
        emulated = vulkan.for_webgpu().emulated if vulkan.on_linux() else None
        return found | ({"emulated": emulated} if emulated else {})


def _census(path: Path) -> tuple[dict[str, int], bool]:
    """Operator counts of a file, and whether it has float16 tensors."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    names = {n: name for name, n in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    kinds = Counter(codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators)
    tensors = (tensor for graph in model.subgraphs for tensor in graph.tensors)
    return dict(sorted(kinds.items())), any(tensor.type == schema.TensorType.FLOAT16 for tensor in tensors)


class LiteRtGpuRunner:
    """See ``clearport.protocols.Runner``."""

    name = "litert_gpu"
    title = "LiteRT (GPU)"
    targets = ("tflite",)
    requires = ("ai-edge-litert",)
    units = ("gpu",)
    measures_latency = True
    method = "ran on LiteRT, GPU"

    def unavailable(self) -> str | None:
        """The reason that this machine cannot run it, or None."""
        if missing(self.requires) or sys.platform != "linux":
            return None  # the former is reported elsewhere, the latter by the worker
        return vulkan.for_webgpu().obstacle

    def prepare(self) -> None:
        """Import the runtime and choose the Vulkan driver, so that ``init_ms`` excludes both."""
        vulkan.choose_for_webgpu()
        import ai_edge_litert.compiled_model  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> LiteRtGpuModel:
        half = options.get("half")
        return LiteRtGpuModel(
            path, threads, half=None if half is None else bool(half), cpu=bool(options.get("cpu", True))
        )


RUNNER = LiteRtGpuRunner()
