"""Flags of LiteRT's ``benchmark_model``: there are two such tools, whose builds differ, so ``--help`` is parsed first.

The older one measures the Interpreter (``tflite/tools/benchmark`` of google-ai-edge/LiteRT): it reads input files,
writes outputs and supports NNAPI. The other one, now published as ``benchmark_model``, measures CompiledModel
(``litert/tools/benchmark_litert_model.h``): it fills inputs with random numbers, does not write outputs, and uses NPUs
through libraries of their vendors. Both ignore unknown flags and list them in the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clearport.errors import RuntimeFailure

HELP = "--help"
_FLAG = re.compile(r"^\s*--([A-Za-z][\w-]*)(?:=|\s)", re.MULTILINE)
_LEAST = "graph"


@dataclass(frozen=True)
class Dialect:
    """The flags that one build supports."""

    known: frozenset[str]

    @property
    def feeds(self) -> bool:
        """Whether it reads input files; otherwise inputs are random, and outputs cannot be checked."""
        return {"input_layer", "input_layer_shape", "input_layer_value_files"} <= self.known

    @property
    def writes(self) -> bool:
        """Whether it writes the outputs of given inputs."""
        return self.feeds and "output_filepath" in self.known

    def io(self, inputs: Mapping[str, tuple[Sequence[int], str]], result: str | None) -> list[str]:
        """Flags that read inputs (name -> shape and file path on the phone) and write the outputs to ``result``."""
        fed = input_flags(inputs) if self.feeds else []
        return [*fed, *([f"--output_filepath={result}"] if self.writes and result else [])]

    def unit(self, unit: str, *, lossy: bool, accelerator: str | None) -> list[str]:
        """Flags that select a unit. ``lossy``: float16 may replace float32.

        Raises:
            RuntimeFailure: this build has no flag for it.
        """
        if unit == "gpu":
            return [*self._must("use_gpu", "true"), *self._gpu_precision(lossy)]
        if unit == "npu":
            return self._npu(lossy, accelerator)
        return self._may("use_xnnpack", "true") or self._may("use_cpu", "true")

    def probe(self) -> list[str]:
        """Flags that report memory and the time of each node."""
        profiling = self._may("enable_op_profiling", "true") or self._may("use_profiler", "true")
        return [*self._may("report_peak_memory_footprint", "true"), *profiling]

    def _gpu_precision(self, lossy: bool) -> list[str]:
        old = self._may("gpu_precision_loss_allowed", str(lossy).lower())
        return old or self._may("gpu-precision", "fp16" if lossy else "fp32")

    def _npu(self, lossy: bool, accelerator: str | None) -> list[str]:
        if "use_nnapi" not in self.known:
            raise RuntimeFailure(
                "this benchmark_model has no NNAPI: it reaches NPUs by libraries of their vendors "
                "(libLiteRtDispatch_*.so), which clearport does not include; use --unit cpu,gpu, or a "
                "--benchmark-model with --use_nnapi"
            )
        half = self._may("nnapi_allow_fp16", str(lossy).lower())
        named = (
            self._must("nnapi_accelerator_name", accelerator) if accelerator else self._may("disable_nnapi_cpu", "true")
        )
        return ["--use_nnapi=true", *half, *named]

    def _may(self, name: str, value: str) -> list[str]:
        return [f"--{name}={value}"] if name in self.known else []

    def _must(self, name: str, value: str) -> list[str]:
        if name not in self.known:
            raise RuntimeFailure(f"this benchmark_model does not know --{name}; --benchmark-model names another build")
        return self._may(name, value)


def read_help(text: str) -> Dialect:
    """The flags in the tool's output for ``--help``.

    Raises:
        RuntimeFailure: it is not benchmark_model's output; quotes its end.
    """
    known = frozenset(_FLAG.findall(text))
    if _LEAST not in known:
        said = [line.strip() for line in text.splitlines() if line.strip()][-3:]
        raise RuntimeFailure(
            f"it does not answer {HELP} as benchmark_model does: {'; '.join(said) or 'it says nothing'}"
        )
    return Dialect(known)


def input_flags(inputs: Mapping[str, tuple[Sequence[int], str]]) -> list[str]:
    """Flags that read inputs: name -> shape and file path on the phone."""
    shapes = ":".join(",".join(map(str, shape)) for shape, _ in inputs.values())
    files = ",".join(f"{name.replace(':', '::')}:{path}" for name, (_, path) in inputs.items())
    return [f"--input_layer={','.join(inputs)}", f"--input_layer_shape={shapes}", f"--input_layer_value_files={files}"]
