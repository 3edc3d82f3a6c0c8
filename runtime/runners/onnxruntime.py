"""ONNX Runtime on the CPU: ``.onnx`` and ``.ort`` files.

Options:
    optimize: graph optimizations (default true). Without them a QDQ model computes in float between exact
        quantize and dequantize steps: that is clearport's int8 reference.
    taps: int8 tensors to output additionally (``steps.taps``); ``.onnx`` files only.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.runtime import overflow
from clearport.runtime.steps import taps as tapped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array
    from clearport.runtime.steps.taps import Taps

_INT8_KERNELS = ("QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")
_FLOAT_KERNELS = ("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "Gemm", "MatMul", "FusedMatMul")
PROFILED = 5
"""Number of inferences per profile."""

_COPIES = frozenset({"MemcpyFromHost", "MemcpyToHost"})
_PROBE_SIDE = 64  # size of dynamic axes for the profile that ``facts`` takes


_QUANTIZED = ".q"
"""Suffix of the quantized tensor's name (``quantize.qdq``)."""

CPU = "CPUExecutionProvider"


class OnnxRuntimeModel:
    """A loaded model. Each node runs on the first of ``providers`` that supports it, else on the CPU."""

    def __init__(
        self,
        path: Path,
        threads: int,
        optimize: bool,
        providers: Sequence[tuple[str, dict[str, str]]] = (),
        taps: Taps | None = None,
    ) -> None:
        self._model = _with_outputs(path, taps) if taps else path
        self._threads, self._optimize = threads, optimize
        self._taps = {f"{name}{_QUANTIZED}": f"{tapped.PREFIX}{name}" for name in taps or ()}
        self._providers = [*providers, (CPU, {})]
        self._session = self._load(profile=None)

    def _load(self, profile: str | None) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Spinning idle threads would slow the candidates that are measured interleaved with this one.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if overflow.in_onnxruntime():
            # Without it x86 CPUs without VNNI accumulate int8 products in 16 bits; with it others take twice the time.
            options.add_session_config_entry("session.x64quantprecision", "1")  # (export/quirks/onnxruntime.py)
        if not self._optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        # Without this a failing provider is replaced by the CPU with nothing but a log line.
        return ort.InferenceSession(self._model, options, providers=self._providers, enable_fallback=0)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        names = [output.name for output in self._session.get_outputs()]
        found = zip(names, self._session.run(names, dict(inputs)), strict=True)
        return {self._taps.get(name, name): array for name, array in found}

    @property
    def shown(self) -> list[str]:
        """The tensors that ``run`` returns besides the outputs."""
        names = (self._taps.get(output.name, "") for output in self._session.get_outputs())
        return [name.removeprefix(tapped.PREFIX) for name in names if name]

    def facts(self) -> dict[str, Any]:
        """The kernels that ran and their units, from a profile of one inference in a second session."""
        zeros = {i.name: _zeros(i.shape, i.type) for i in self._session.get_inputs()}
        ran = [event["args"] for event in self._events(zeros, 1)]
        operators = Counter(kernel["op_name"] for kernel in ran)
        int8 = sum(operators[name] for name in _INT8_KERNELS)
        heavy = int8 + sum(operators[name] for name in _FLOAT_KERNELS)
        units = {unit: Counter(k["op_name"] for k in ran if unit_of(k["provider"]) == unit) for unit in ("gpu", "cpu")}
        return {
            "unit": "+".join(unit for unit, kernels in units.items() if set(kernels) - _COPIES),
            "providers": sorted({kernel["provider"] for kernel in ran}),
            "partitions": 1 + sum(a["provider"] != b["provider"] for a, b in pairwise(ran)),
            "operators": dict(sorted(operators.items())),
            "operators_per_unit": {unit: dict(sorted(kernels.items())) for unit, kernels in units.items() if kernels},
            "int8_kernels": int8,
            "int8_share": int8 / heavy if heavy else 0.0,
            "executed_precision": "int8" if int8 else "float32",
        }

    def profile(self, inputs: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Milliseconds of each kernel: the minimum of several inferences in a separate session."""
        runs: dict[str, list[dict[str, Any]]] = {}
        for event in self._events(inputs, PROFILED):
            runs.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event)
        return [
            {
                "name": name,
                "operator": e[0]["args"]["op_name"],
                "unit": unit_of(e[0]["args"]["provider"]),
                "ms": min(x["dur"] for x in e) / 1e3,
            }
            for name, e in runs.items()
        ]

    def _events(self, inputs: Mapping[str, Array], runs: int) -> list[dict[str, Any]]:
        """The profiler's events of kernels."""
        with tempfile.TemporaryDirectory() as folder:
            session = self._load(profile=str(Path(folder, "profile")))
            for _ in range(runs):
                session.run(None, dict(inputs))
            events = json.loads(Path(session.end_profiling()).read_text())
        return [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]


def _with_outputs(path: Path, taps: Taps) -> bytes:
    """The serialized model with those of the tensors ``taps`` that it has as additional outputs."""
    import onnx

    model = onnx.load(path)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    made = {name for node in model.graph.node for name in node.output} - ends
    for name in (f"{tap}{_QUANTIZED}" for tap in taps):
        if name in made:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    return bytes(model.SerializeToString())


class Bound:
    """Excludes copies of inputs and outputs from a measurement: ONNX Runtime uses its own buffers."""

    _session: Any
    _binding: Any

    def bind(self, inputs: Mapping[str, Array]) -> None:
        self._binding = self._session.io_binding()
        for name, array in inputs.items():
            self._binding.bind_cpu_input(name, array)
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def invoke(self) -> None:
        self._session.run_with_iobinding(self._binding)


class OnnxRuntimeSession(Bound, OnnxRuntimeModel):
    """A model on the CPU."""


def unit_of(provider: str) -> str:
    """The unit of an execution provider."""
    return "cpu" if provider == CPU else "gpu"


def _zeros(shape: list[int | str | None], kind: str) -> Array:
    """Zeros for a model input of ONNX Runtime's ``shape`` and type ``kind``, such as ``tensor(uint8)``."""
    dtype = {"float": "float32", "float16": "float16", "uint8": "uint8", "int8": "int8"}[kind[7:-1]]
    sizes = [n if isinstance(n, int) else 1 if axis == 0 else _PROBE_SIDE for axis, n in enumerate(shape)]
    return np.zeros(sizes, dtype)


class OnnxRuntimeRunner:
    """See ``clearport.protocols.Runner``."""

    name = "onnxruntime"
    title = "ONNX Runtime (CPU)"
    targets = ("onnxruntime",)
    requires = ("onnxruntime",)
    measures_latency = True
    method = "ran on ONNX Runtime"

    def hides(self, path: Path) -> str | None:
        """The reason that intermediate tensors cannot be read, or None."""
        return "outputs cannot be added to a file in ONNX Runtime's own format" if path.suffix == ".ort" else None

    def distorts(self, precision: str, variant: str) -> str | None:
        """The reason that this machine's CPU computes a file wrongly, or None."""
        if precision != "int8" or variant != "ort" or not overflow.onnxruntime_does():
            return None
        return (
            "this CPU has no VNNI instructions: ONNX Runtime's int8 kernels overflow on it; a session option prevents "
            "that for .onnx files but not for .ort files"
        )

    def prepare(self) -> None:
        """Import the runtime and try the CPU, so that ``init_ms`` excludes both."""
        overflow.in_onnxruntime()

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> OnnxRuntimeSession:
        return OnnxRuntimeSession(path, threads, bool(options.get("optimize", True)), taps=tapped.of(options))


RUNNER = OnnxRuntimeRunner()
