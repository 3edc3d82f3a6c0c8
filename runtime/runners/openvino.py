"""OpenVINO on the CPU: an IR folder (``<name>.openvino/``) or its ``.xml``.

The device is always named: listing OpenVINO's devices would load the GPU plugin, whose LLVM conflicts with that of
other libraries.

Options:
    precision: ``INFERENCE_PRECISION_HINT``: ``f32`` (default) is needed for parity; ``bf16`` or ``f16`` let the CPU
        trade accuracy for speed; ``default`` leaves the choice to OpenVINO (bf16 on CPUs that support it).
    taps: int8 tensors to output additionally (``steps.taps``).
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.runtime import overflow
from clearport.runtime.steps import taps as tapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array
    from clearport.runtime.steps.taps import Taps

PROFILED = 5
"""Number of inferences per profile."""

_LOW_PRECISION = "LP_TRANSFORMS_MODE"
"""Property for whether quantized operators run in int8 kernels; the CPU plugin supports it without listing it."""
_MOVES = frozenset({"Input", "Output", "Const", "Reorder", "Reshape", "Result", "Parameter"})
_NUMPY_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_INT8 = frozenset({"i8", "u8"})
_HEAVY = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul", "GroupConvolution"})


class OpenVinoModel:
    """A model compiled for one named device."""

    device = "CPU"

    def __init__(self, path: Path, settings: Mapping[str, Any], precision: str, taps: Taps | None = None) -> None:
        import openvino as ov

        hint = {} if precision == "default" else {"INFERENCE_PRECISION_HINT": precision}
        self._settings = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", **settings, **hint}
        self._core, self._path, self._taps = ov.Core(), path, taps or {}
        # Names from the file: plugins that move operators give outputs additional names of other tensors.
        self._outputs = [port.get_any_name() for port in self._core.read_model(xml_of(path)).outputs]
        self.shown = list(_rounded(self._core.read_model(xml_of(path)), self._taps))
        """The tensors that ``run`` returns besides the outputs."""
        if not self._taps:  # memory for all taps at once would be too much where only their names are asked for
            self._request.get_compiled_model()

    @cached_property
    def _compiled(self) -> Any:
        return self._compile(self._settings)

    @cached_property
    def _request(self) -> Any:
        return self._compiled.create_infer_request()

    def _compile(self, settings: Mapping[str, Any]) -> Any:
        model = self._core.read_model(xml_of(self._path))
        if self._taps:
            model.add_outputs(list(_rounded(model, self._taps).values()))
        if _LOW_PRECISION in settings and any(op.get_type_name() == "FakeQuantize" for op in model.get_ops()):
            _fold_weights(model)
        return self._core.compile_model(model, self.device, dict(settings))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = list(self._request.infer(dict(inputs), share_outputs=True).values())
        ends, inside = results[: len(self._outputs)], results[len(self._outputs) :]
        shown = zip(self.shown, inside, strict=True)
        return {
            **{name: array.copy() for name, array in zip(self._outputs, ends, strict=True)},
            **{f"{tapped.PREFIX}{name}": tapped.counted(array, name, self._taps) for name, array in shown},
        }

    def profile(self, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Milliseconds of each layer: the minimum of several inferences of a separate compilation with performance
        counters.
        """
        request = self._compile({**self._settings, "PERF_COUNT": True}).create_infer_request()
        found: dict[str, dict[str, Any]] = {}
        for _ in range(PROFILED):
            request.infer(dict(inputs))
            for info in request.get_profiling_info():
                ms = info.real_time.total_seconds() * 1e3
                row = {"name": info.node_name, "operator": info.node_type, "unit": self.device.lower(), "ms": ms}
                if ms and ms < found.get(info.node_name, {"ms": float("inf")})["ms"]:
                    found[info.node_name] = row
        return list(found.values())

    def facts(self) -> dict[str, Any]:
        """The kernels of the compiled graph and the precisions in which they run."""
        nodes = [dict(op.get_rt_info()) for op in self._compiled.get_runtime_model().get_ops()]
        layers = [(str(n["layerType"].astype(str)), str(n["runtimePrecision"].astype(str))) for n in nodes]
        work = [(kind, precision) for kind, precision in layers if kind not in _MOVES]
        heavy = [precision for kind, precision in work if kind in _HEAVY]
        int8 = sum(precision in _INT8 for precision in heavy)
        return {
            "unit": "+".join(units_of(self._compiled.get_property("EXECUTION_DEVICES"))),
            "partitions": 1,
            "operators": dict(sorted(Counter(kind for kind, _ in work).items())),
            "precisions": dict(sorted(Counter(precision for _, precision in work).items())),
            "int8_kernels": int8,
            "int8_share": int8 / len(heavy) if heavy else 0.0,
            "executed_precision": "int8" if int8 else _NUMPY_NAMES.get((heavy or ["unknown"])[0], "unknown"),
            "precision_hint": str(self._compiled.get_property("INFERENCE_PRECISION_HINT")),
        }


def _fold_weights(model: Any) -> None:
    """Convert int8 weights to float32: without int8 kernels the plugin fails on a 1x1 convolution of a transposed
    tensor.
    """
    try:
        from openvino.passes import ConstantFolding, Manager
    except ImportError:  # OpenVINO before 2025
        from openvino.runtime.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)


def _rounded(model: Any, taps: Taps) -> dict[str, Any]:
    """The rounded values of the tensors ``taps``: the reader names them after their DequantizeLinear. The
    rounding of very small ones is written as arithmetic that ends in a product (``export/openvino/target.py``).
    """
    found: dict[str, Any] = {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name().removesuffix(".dequantize")
        if node.get_type_name() in {"FakeQuantize", "Multiply"} and name in taps:
            found[name] = node.output(0)
    return found


class Bound:
    """Excludes copies of inputs and outputs from a measurement: OpenVINO reads the caller's memory."""

    _request: Any
    _bound: dict[str, Array]

    def bind(self, inputs: Mapping[str, Array]) -> None:
        from openvino import Tensor

        for name, array in inputs.items():
            self._request.set_tensor(name, Tensor(array, shared_memory=True))
        self._bound = dict(inputs)  # shared memory: must outlive the request

    def invoke(self) -> None:
        self._request.start_async()
        self._request.wait()


class OpenVinoSession(Bound, OpenVinoModel):
    """A model on the CPU."""

    def __init__(self, path: Path, threads: int, precision: str, taps: Taps | None = None) -> None:
        # Pinned worker threads would share one core while another is idle.
        settings = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        # No int8 kernels where they overflow: float arithmetic between the roundings is exact but slower.
        super().__init__(path, settings | ({_LOW_PRECISION: False} if overflow.in_openvino() else {}), precision, taps)


def units_of(devices: Sequence[str]) -> list[str]:
    """The units of OpenVINO's device names such as ``GPU.0``; one in parentheses runs until another is compiled."""
    return sorted({name.strip("()").partition(".")[0].lower() for name in devices})


def xml_of(path: Path) -> Path:
    """The ``.xml`` of an IR: ``path`` itself, or the one in its folder.

    Raises:
        FileNotFoundError: the folder does not contain exactly one.
    """
    if path.is_file():
        return path
    found = sorted(path.glob("*.xml"))
    if len(found) != 1:
        raise FileNotFoundError(f"{path}: expected one .xml in it, found {len(found)}")
    return found[0]


class OpenVinoRunner:
    """See ``clearport.protocols.Runner``."""

    name = "openvino"
    title = "OpenVINO (CPU)"
    targets = ("openvino",)
    requires = ("openvino",)
    measures_latency = True
    method = "ran on OpenVINO"

    def hides(self, path: Path) -> str | None:
        """The reason that intermediate tensors cannot be read, or None."""
        del path
        return None

    def prepare(self) -> None:
        """Import the runtime and try the CPU, so that ``init_ms`` excludes both."""
        overflow.in_openvino()

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> OpenVinoSession:
        return OpenVinoSession(path, threads, str(options.get("precision", "f32")), tapped.of(options))


RUNNER = OpenVinoRunner()
