"""Sessions of ncnn models, shared by the runners for the CPU and for Vulkan."""

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
"""Number of leading options of ``_HALF`` that are on."""
_KINDS = ("discrete", "integrated", "virtual", "cpu")
"""``GpuInfo.type()``: 0 to 3."""
_NO_WORK = frozenset({"Input", "Split", "Noop"})


class NcnnModel:
    """A loaded model.

    ``device`` is the index of a Vulkan device, None for the CPU. ``half`` is what is float16: nothing, storage, or
    arithmetic too. ncnn's blobs have no batch axis: the session removes it from inputs and adds it to outputs.
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
        self._inputs, self._outputs = list(self._net.input_names()), list(self._net.output_names())
        self._ranks = _ranks(param.with_suffix(".json"))
        self._bound: Any = None

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """float32 tensors by name, pictures (1, C, H, W); batch axes of 1 are removed and added according to the
        contract.

        Raises:
            ValueError: an input's name, dtype or rank differs from the file's.
        """
        found = self._infer(self._taken(inputs))
        return {name: self._whole(name, np.array(blob)) for name, blob in zip(self._outputs, found, strict=True)}

    def _taken(self, inputs: Mapping[str, Array]) -> dict[str, Any]:
        """The inputs as ncnn Mats: copies, since NumPy's memory lacks the padding to which ncnn's kernels write."""
        if set(inputs) != set(self._inputs):
            raise ValueError(f"the file's inputs are {sorted(self._inputs)}, not {sorted(inputs)}")
        return {name: self._blob(name, array) for name, array in inputs.items()}

    def _blob(self, name: str, array: Array) -> Any:
        rank = self._ranks.get(name, 4)
        if array.dtype != np.float32 or array.ndim != rank or (rank == 4 and array.shape[0] != 1):
            raise ValueError(
                f"{name}: expected float32 of batch 1 with {rank} axes, got {array.dtype} {list(array.shape)}"
            )
        # The Mat is a view of its array, which must live until the copy is made.
        values = np.ascontiguousarray(array[0] if array.ndim > 1 and len(array) == 1 else array)
        return self._ncnn.Mat(values).clone()

    def _whole(self, name: str, blob: Array) -> Array:
        return blob if blob.ndim == self._ranks.get(name) else blob[None]

    def _infer(self, sources: Mapping[str, Any]) -> list[Any]:
        extractor = self._net.create_extractor()
        for name, source in sources.items():
            extractor.input(name, source)
        return [self._extracted(extractor, name) for name in self._outputs]

    def _extracted(self, extractor: Any, name: str) -> Any:
        code, result = extractor.extract(name)
        if code != 0:
            raise RuntimeError(f"ncnn failed with code {code}")
        return result

    def facts(self) -> dict[str, Any]:
        """The unit of each layer: layers without a Vulkan implementation run on the CPU."""
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
    """A model on the CPU. ``bind`` and ``invoke`` exclude copies of inputs and outputs from a measurement."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads, None)
        self._bound: Any = None

    def bind(self, inputs: Mapping[str, Array]) -> None:
        self._bound = self._taken(inputs)

    def invoke(self) -> None:
        self._infer(self._bound)


def _ranks(contract: Path) -> dict[str, int]:
    """Tensor -> rank, from the ``.json`` beside a model; empty without one."""
    if not contract.is_file():
        return {}
    said = read_json(contract, "the contract of an ncnn model")
    single = [said[word] for word in ("input", "output") if word in said]
    return {spec["name"]: len(spec["shape"]) for spec in (*single, *said.get("inputs", ()), *said.get("outputs", ()))}


def files_of(path: Path) -> tuple[Path, Path]:
    """The ``.param`` and ``.bin`` of a model, given a folder with one of each, or the ``.param``.

    Raises:
        FileNotFoundError: they are missing.
    """
    params = [path] if path.is_file() else sorted(path.glob("*.param"))
    if len(params) != 1 or not params[0].with_suffix(".bin").is_file():
        raise FileNotFoundError(f"{path}: expected one .param in it, and the .bin of the same name")
    return params[0], params[0].with_suffix(".bin")


def is_half(path: Path) -> bool:
    """Whether clearport wrote a model as fp16, from the ``.json`` beside it; False without one."""
    contract = files_of(path)[0].with_suffix(".json")
    return contract.is_file() and read_json(contract, "the contract of an ncnn model").get("precision") == "fp16"
