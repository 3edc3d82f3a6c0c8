"""An ncnn model in a session: the CPU's and Vulkan's runner open the same files by the same interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from clearport.disk.json_files import read_json

if TYPE_CHECKING:
    from clearport.base import Array

Half = Literal["nothing", "stored", "all"]
HALVES = get_args(Half)
_HALF = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
_BRAIN = ("use_bf16_packed", "use_bf16_storage")
_HOW_MUCH = {"nothing": 0, "stored": 2, "all": 3}
"""How many of ``_HALF`` are on."""
_KINDS = ("discrete", "integrated", "virtual", "cpu")
"""``GpuInfo.type()``: 0 to 3."""
_NO_WORK = frozenset({"Input", "Split", "Noop"})


class NcnnModel:
    """A loaded model with one input and one output.

    ``device`` is the number of a Vulkan device, None for the CPU. ``half`` is how much is float16: nothing, what is
    stored, or sums and products too. Blobs have no batch: the model adds and takes it.
    """

    def __init__(self, path: Path, threads: int, device: int | None, half: Half = "nothing") -> None:
        import ncnn

        self._ncnn, self._device, self._half = ncnn, device, half
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = threads
        options.use_vulkan_compute = device is not None
        for name in (*_HALF, *_BRAIN):
            setattr(options, name, name in _HALF[: _HOW_MUCH[half]])
        if device is not None:
            self._net.set_vulkan_device(device)
        param, weights = files_of(path)
        for load, file in ((self._net.load_param, param), (self._net.load_model, weights)):
            if load(str(file)) != 0:
                raise ValueError(f"ncnn cannot load {file.name}")
        (self._input,), (self._output,) = self._net.input_names(), self._net.output_names()
        self._bound: Any = None

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """float32 (1, 3, H, W) in and out.

        Raises:
            ValueError: the name or the kind of the input is not the file's.
        """
        return {self._output: np.array(self._infer(self._taken(inputs)))[None]}

    def _taken(self, inputs: Mapping[str, Array]) -> Any:
        """The input where ncnn reads it: a copy, as numpy's own memory lacks the margin that its kernels write to."""
        if set(inputs) != {self._input}:
            raise ValueError(f"the file takes {self._input!r}, not {sorted(inputs)}")
        array = inputs[self._input]
        if array.dtype != np.float32 or array.ndim != 4 or array.shape[0] != 1:
            raise ValueError(f"expected one float32 picture of four axes, got {array.dtype} {list(array.shape)}")
        planes = np.ascontiguousarray(array[0])  # the Mat only looks at it: it must live until the copy is made
        return self._ncnn.Mat(planes).clone()

    def _infer(self, source: Any) -> Any:
        extractor = self._net.create_extractor()
        extractor.input(self._input, source)
        code, result = extractor.extract(self._output)
        if code != 0:
            raise RuntimeError(f"ncnn gave up with code {code}")
        return result

    def facts(self) -> dict[str, Any]:
        """Where each layer runs: ncnn leaves layers without a Vulkan form to the CPU."""
        work = [layer for layer in self._net.layers() if layer.type not in _NO_WORK]
        on_gpu = self._net.opt.use_vulkan_compute and self._device is not None
        places = [("gpu" if on_gpu and layer.support_vulkan else "cpu", layer.type) for layer in work]
        units = sorted({unit for unit, _ in places}, key=("gpu", "cpu").index)
        return {
            "unit": "+".join(units),
            "partitions": 1 + sum(a[0] != b[0] for a, b in pairwise(places)),
            "operators": dict(sorted(Counter(kind for _, kind in places).items())),
            "operators_per_unit": {
                unit: dict(sorted(Counter(kind for where, kind in places if where == unit).items())) for unit in units
            },
            "executed_precision": "float16" if self._half == "all" else "float32",
            "stored_precision": "float32" if self._half == "nothing" else "float16",
            **self._about_device(),
        }

    def _about_device(self) -> dict[str, Any]:
        if self._device is None:
            return {}
        info = self._ncnn.get_gpu_info(self._device)
        about = {"device": info.device_name(), "device_kind": _KINDS[info.type()]}
        return about | (
            {"emulated": f"{info.device_name()} (software Vulkan)"} if about["device_kind"] == "cpu" else {}
        )


class NcnnSession(NcnnModel):
    """A model on the CPU. ``bind`` and ``invoke`` leave the copies of inputs and outputs out of a measurement."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads, None)
        self._bound: Any = None

    def bind(self, inputs: Mapping[str, Array]) -> None:
        self._bound = self._taken(inputs)

    def invoke(self) -> None:
        self._infer(self._bound)


def files_of(path: Path) -> tuple[Path, Path]:
    """The ``.param`` and ``.bin`` of a model: a folder that holds one of each, or the ``.param``.

    Raises:
        FileNotFoundError: they are not there.
    """
    params = [path] if path.is_file() else sorted(path.glob("*.param"))
    if len(params) != 1 or not params[0].with_suffix(".bin").is_file():
        raise FileNotFoundError(f"{path}: expected one .param in it, and the .bin of the same name")
    return params[0], params[0].with_suffix(".bin")


def is_half(path: Path) -> bool:
    """Whether clearport wrote a model as fp16: the ``.json`` beside it says so; without one it counts as float32."""
    contract = files_of(path)[0].with_suffix(".json")
    return contract.is_file() and read_json(contract, "the contract of an ncnn model").get("precision") == "fp16"
