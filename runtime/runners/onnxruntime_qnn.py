"""ONNX Runtime on Qualcomm's HTP: int8 ``.onnx`` files. On x86-64 Qualcomm's simulator runs, on Snapdragon the
chip.

CPU fallback is disabled (``session.disable_cpu_ep_fallback``): a file that the HTP cannot run completely is refused
with ONNX Runtime's message.

Options:
    htp_arch: the architecture to compile for and simulate, such as ``v73`` (default: QNN's).
    context: path of a context binary to write, ``.onnx``; the session then cannot run.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.runtime.runners.onnxruntime import Bound
from clearport.runtime.sessions import qnn_library

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.base import Array


class QnnSession(Bound):
    """A loaded model."""

    def __init__(self, path: Path, threads: int, settings: dict[str, str], context: str | None) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Profiling slows every inference a little, so it is on only for the simulator, whose latency means nothing.
        self._profiled = qnn_library.simulated()
        self._profile: str | None = None
        if self._profiled:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(tempfile.mkdtemp(), "profile"))
        if context is not None:
            options.add_session_config_entry("ep.context_enable", "1")
            options.add_session_config_entry("ep.context_embed_mode", "0")
            options.add_session_config_entry("ep.context_file_path", context)
        self._path, self._settings = path, settings
        self._session = qnn_library.session(path, options, settings)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    def facts(self) -> dict[str, Any]:
        """The provider, from the profile of the inferences so far, and the operators, from the file."""
        ran = self._ran()
        operators = dict(sorted(_operators(self._path).items()))
        found: dict[str, Any] = {
            "unit": "npu" if ran is None or set(ran) == {qnn_library.PROVIDER} else "npu+cpu",
            "providers": [qnn_library.PROVIDER] if ran is None else sorted(ran),
            "partitions": None if ran is None else sum(ran.values()),
            "operators": operators,
            "operators_per_unit": {"npu": operators},
            "executed_precision": "int8" if "QuantizeLinear" in _kinds(self._path) else "float16",
            "htp_arch": self._settings.get("htp_arch", "QNN's default"),
        }
        if qnn_library.simulated():
            found["emulated"] = f"HTP simulator ({platform.machine()})"
        return found

    def _ran(self) -> Counter[str] | None:
        """Provider -> number of partitions that it ran; None without a profile."""
        if not self._profiled:
            return None
        if self._profile is None:
            self._profile = Path(self._session.end_profiling()).read_text()
        events = [e for e in json.loads(self._profile) if e.get("cat") == "Node"]
        return Counter(provider for provider, _ in {(e["args"]["provider"], e["args"]["op_name"]) for e in events})


def _kinds(path: Path) -> Counter[str]:
    import onnx

    return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def _operators(path: Path) -> Counter[str]:
    """Operator counts without QuantizeLinear and DequantizeLinear, which are not separate operators on the HTP."""
    kinds = _kinds(path)
    return Counter({kind: n for kind, n in kinds.items() if kind not in {"QuantizeLinear", "DequantizeLinear"}})


class QnnRunner:
    """See ``clearport.protocols.Runner``."""

    name = "onnxruntime_qnn"
    title = "ONNX Runtime (Qualcomm HTP)"
    targets = ("onnxruntime",)
    requires = ("onnxruntime", qnn_library.PACKAGE)
    extra = qnn_library.EXTRA
    units = ("npu",)
    measures_latency = True
    method = "ran on ONNX Runtime, Qualcomm HTP"

    def unavailable(self) -> str | None:
        return qnn_library.unavailable()

    def prepare(self) -> None:
        """Import the runtime, so that ``init_ms`` excludes it."""
        import onnxruntime  # noqa: F401  # imported for its side effect: the library is loaded

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> QnnSession:
        if path.suffix != ".onnx":
            raise ValueError(f"{path.name}: the HTP requires .onnx files")
        settings = {}
        if options.get("htp_arch"):
            settings["htp_arch"] = str(qnn_library.architecture(str(options["htp_arch"])))
        return QnnSession(path, threads, settings, options.get("context"))


RUNNER = QnnRunner()
