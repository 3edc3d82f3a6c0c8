"""One graph through the writer and runtime of every target: each one's output, or the reason of its refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clearport.base import Artifact, Graph, Options, Precision, Size
from clearport.errors import UnsupportedOperator
from clearport.export.written import target_graph
from clearport.protocols import Target
from clearport.quantized import QuantizedGraph
from clearport.registry import TARGETS, missing
from clearport.runtime.usable import RUNNERS
from tests.export import apart

RUNS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "tflite": ("litert", {}),
    "tflite without XNNPACK": ("litert", {"xnnpack": False}),
    "openvino": ("openvino", {}),
    "onnxruntime": ("onnxruntime", {}),
    "ncnn": ("ncnn", {}),
    "coreml": ("milref", {}),
    "coreai": ("coreai", {}),
}
"""Where files are run: the target's name comes first."""


@dataclass(frozen=True)
class Outcome:
    """What one target made of a graph: its picture, or the reason of its refusal."""

    picture: np.ndarray | None
    refusal: str = ""


@cache
def available() -> tuple[str, ...]:
    """The ways to run files whose packages are installed."""
    return tuple(way for way in RUNS if not missing(_target(way).requires))


def takes(way: str, precision: Precision) -> bool:
    """Whether the target of a way has a precision."""
    return precision in _target(way).precisions


def _target(way: str) -> Target:
    target: Target = TARGETS.get(way.split(maxsplit=1)[0])
    return target


def by_target(
    graph: Graph,
    image: np.ndarray,
    folder: Path,
    precision: Precision = "fp32",
    quantized: QuantizedGraph | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Each way and its outcome on ``image`` (float32 NCHW); the graph is in clearport's dialect."""
    for way in available():
        if precision in _target(way).precisions:
            yield way, outcome_of(way, graph, quantized, precision, image, folder)


def outcome_of(
    way: str,
    graph: Graph,
    quantized: QuantizedGraph | None,
    precision: Precision,
    image: np.ndarray,
    folder: Path,
    size: Size | Literal["of the image"] | None = "of the image",
) -> Outcome:
    """What one way makes of a graph, in a file for ``size`` (None: any)."""
    size = Size(*image.shape[2:]) if size == "of the image" else size
    try:
        artifact = _written(_target(way), graph, quantized, precision, Options(size, "float32"), folder)
    except UnsupportedOperator as error:
        return Outcome(None, str(error))
    return Outcome(_run(way, artifact, image))


def _written(
    target: Target,
    graph: Graph,
    quantized: QuantizedGraph | None,
    precision: Precision,
    options: Options,
    folder: Path,
) -> Artifact:
    """The first file; of Core ML's two, the one for tensors alone, as it may give other than three channels."""
    if target.name == "coreml":
        from clearport.export.coreml import program as mil_program
        from clearport.export.coreml import target as to_coreml

        wide = mil_program.NOTHING if precision in {"fp32", "int8"} else to_coreml.choose(graph)
        body, table = (quantized.graph, quantized.table) if precision == "int8" and quantized else (graph, None)
        return to_coreml._lower(mil_program.Plan(body, precision, "tensor", table, wide), folder)
    artifact = target.lower(target_graph(graph, quantized, precision), options, folder)[0]
    assert isinstance(artifact, Artifact)
    return artifact


def _run(way: str, artifact: Artifact, image: np.ndarray) -> np.ndarray:
    name, options = RUNS[way]
    source, result = artifact.inputs[0], artifact.outputs[0]
    channels_last = source.layout == "NHWC"
    given = np.ascontiguousarray(image.transpose(0, 2, 3, 1)) if channels_last else image
    if name == "coreai":
        output = apart.run(artifact.path, {source.name: given})[result.name]
    else:
        output = RUNNERS.get(name).open(artifact.path, 1, options).run({source.name: given})[result.name]
    return output.transpose(0, 3, 1, 2) if result.layout == "NHWC" else output
