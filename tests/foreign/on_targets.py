"""A foreign network by the writer and the runtime of a target, against PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearport.base import Artifact, Graph, Options, Precision, Size, Skipped
from clearport.errors import BadInput, CheckFailed
from clearport.export.written import target_graph
from clearport.quantized import QuantizedGraph
from clearport.registry import TARGETS
from clearport.runtime.usable import RUNNERS
from tests.export import apart

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "onnxruntime": ("onnxruntime", {}),
    "openvino": ("openvino", {}),
    "tflite": ("litert", {}),
    "coreml": ("milref", {}),
    "ncnn": ("ncnn", {}),
    "coreai": ("coreai", {}),
}
"""Target -> the runner of its files, and its settings."""

TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.1}
"""Of the output's standard deviation, so that a nearly constant output does not hide an error: the farthest number, and
in int8, where a number may be a step off, the root of the mean square. PyTorch and ONNX Runtime themselves are 1e-5
apart in these networks. int8 files are compared with the QDQ model: 0.1 is 20 dB, the widest limit that
``runtime/tolerance.py`` has for the numbers of int8 files."""


class NotThere(Exception):
    """A target has no such precision."""


@dataclass(frozen=True)
class Outcome:
    """``right``, ``refused``, ``WRONG`` or ``crashed``; ``about`` says why, or how far off the output is."""

    word: str
    about: str

    def __str__(self) -> str:
        return f"{self.word} ({self.about})"


def on_target(
    graph: Graph,
    target: str,
    precision: Precision,
    given: list[np.ndarray],
    wanted: list[np.ndarray],
    folder: Path,
    quantized: QuantizedGraph | None = None,
) -> Outcome:
    """What a target makes of a graph that went through the passes, on the inputs ``given``."""
    try:
        artifact = _written(graph, target, precision, folder, quantized)
        found = _run(target, artifact, graph, given)
    except (BadInput, CheckFailed, NotThere) as error:
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("crashed", f"{type(error).__name__}: {error}")
    off = max(distance(*pair, farthest=precision != "int8") for pair in zip(found, wanted, strict=True))
    return Outcome("right" if off <= TOLERANCE[precision] else "WRONG", f"{off:.2g}")


def quantized_for(graph: Graph) -> QuantizedGraph:
    """An int8 form with ranges of what the inputs of tests are like; min-max, since its quality is judged elsewhere."""
    from clearport.quantize.flow import QuantizeOptions, quantize

    return quantize(graph, _photos(graph), QuantizeOptions(equalization=(0.0,), search=False, compensate=False))


def quantized_outputs(quantized: QuantizedGraph, given: list[np.ndarray]) -> list[np.ndarray]:
    """What the QDQ model gives, which int8 files are compared with: how much int8 costs is judged elsewhere."""
    from clearport.graph import nodes as graphs
    from clearport.quantize.qdq import to_qdq

    opened = graphs.session(to_qdq(quantized, "uint8", "float32"))
    feeds = dict(zip((each.name for each in opened.get_inputs()), given, strict=True))
    found: list[np.ndarray] = opened.run(None, feeds)
    return found


def _photos(graph: Graph) -> list[np.ndarray]:
    shape = graph.inputs[0].shape
    if len(graph.inputs) > 1 or len(shape) != 4 or shape[1] != 3:
        raise BadInput("calibrated in these tests are networks of one RGB picture")
    sides = int(shape[2]), int(shape[3])
    return [np.random.default_rng(seed).integers(0, 256, (*sides, 3)).astype(np.uint8) for seed in (0, 1)]


def distance(found: np.ndarray, wanted: np.ndarray, *, farthest: bool = True) -> float:
    """The farthest number, or the root of the mean square, as a share of the standard deviation of ``wanted``.

    Of integers, the share that differs.
    """
    if found.size != wanted.size:
        return float("inf")
    flat, right = found.reshape(-1).astype(np.float64), wanted.reshape(-1).astype(np.float64)
    if wanted.dtype.kind in "iu":
        return float((flat != right).mean())
    if not np.isfinite(flat).all():
        return float("inf")
    error = np.abs(flat - right).max() if farthest else np.sqrt(np.mean((flat - right) ** 2))
    return float(error / max(right.std(), 1e-12))


def _written(
    graph: Graph, target: str, precision: Precision, folder: Path, quantized: QuantizedGraph | None
) -> Artifact:
    shape = graph.input.shape
    size = Size(*(int(n) for n in shape[2:4])) if len(shape) == 4 else None
    options = Options(size, "float32")
    if target == "coreml":
        from clearport.export.coreml import program as mil_program
        from clearport.export.coreml import target as to_coreml

        wide = mil_program.NOTHING if precision in {"fp32", "int8"} else to_coreml.choose(graph)
        body, table = (quantized.graph, quantized.table) if precision == "int8" and quantized else (graph, None)
        return to_coreml._lower(mil_program.Plan(body, precision, "tensor", table, wide), folder)
    artifact = TARGETS.get(target).lower(target_graph(graph, quantized, precision), options, folder)[0]
    if isinstance(artifact, Skipped):
        raise NotThere(artifact.reason)
    return artifact


def _run(target: str, artifact: Artifact, graph: Graph, given: list[np.ndarray]) -> list[np.ndarray]:
    runner, options = RUNS[target]
    named = dict(zip((spec.name for spec in graph.inputs), given, strict=True))
    feeds = {spec.name: _turned(named[spec.name], spec.layout == "NHWC", (0, 2, 3, 1)) for spec in artifact.inputs}
    if target == "coreai":  # in the graph's order, under names that Python could have
        found = apart.run(artifact.path, feeds)
        return [found[spec.name] for spec in artifact.outputs]
    found = RUNNERS.get(runner).open(artifact.path, 1, options).run(feeds)
    last = {spec.name: spec.layout == "NHWC" for spec in artifact.outputs}
    return [_turned(found[spec.name], last[spec.name], (0, 3, 1, 2)) for spec in graph.outputs]


def _turned(array: np.ndarray, turn: bool, order: tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(order)) if turn and array.ndim == 4 else array
