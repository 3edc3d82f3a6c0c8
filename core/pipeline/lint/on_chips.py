"""Which operators of a file run where: TFLite files on XNNPACK, GPUs, NNAPI and Ethos-U, ONNX files on Hexagon and in
browsers, Core ML programs on the Neural Engine.

XNNPACK and Arm's compiler are run; for the others, published rules are applied and cited.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from clearport.export.coreml import fp32_fallback
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.graph import partitions
from clearport.operators import table
from clearport.operators.record import PLACES
from clearport.pipeline.lint.values import LeftOver, Placement
from clearport.registry import installed_versions
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from clearport.base import Artifact, Graph, Options
    from clearport.export.tflite.lint.levels import LevelPrediction
    from clearport.operators.record import Place
    from clearport.pipeline.lint.layers import Layers
    from clearport.pipeline.lint.values import Layer
    from clearport.quantized import QuantizedGraph
    from clearport.runtime.devices.ethosu.chips import Chip

ETHOS_U = ("u55-256", "u65-512", "u85-1024")
"""The chips for which files are compiled: one of each series."""
TIMEOUT_S = 120.0

UNITS: dict[Place, str] = {
    "htp": "Qualcomm Hexagon (HTP)",
    "webgpu": "browser GPU (WebGPU)",
    "webnn": "browser WebNN",
}


class Left(NamedTuple):
    """An operator that an accelerator does not support."""

    operator: str
    reason: str
    layer: Layer


def grouped(left: Iterable[Left]) -> tuple[LeftOver, ...]:
    """Merge those of one type and reason."""
    groups: dict[tuple[str, str], list[Layer]] = {}
    for each in left:
        groups.setdefault((each.operator, each.reason), []).append(each.layer)
    return tuple(
        LeftOver(operator=operator, count=len(found), reason=reason, layers=tuple(found))
        for (operator, reason), found in groups.items()
    )


def on_xnnpack(artifact: Artifact, layers: Layers) -> Placement:
    """The operators that the installed LiteRT delegates to XNNPACK.

    Raises:
        RuntimeFailure: LiteRT refused the file or crashed.
    """
    from clearport.export.tflite.lint.nnapi import operators_of

    with Worker("litert", artifact.path, timeout_s=TIMEOUT_S) as worker:
        facts = worker.facts()
    outside: dict[str, int] = facts["operators_outside"]
    operators, _ = operators_of(artifact.path)
    left = []
    for kind, count in outside.items():
        same = [op for op in operators if op.op == kind]
        known = tuple(layers.writing(op.output.name, kind) for op in same) if len(same) == count else ()
        left.append(LeftOver(operator=kind, count=count, reason="TFLite's own kernel runs it", layers=known))
    total = sum(facts["operators"].values())
    return Placement(
        artifact=artifact.key,
        unit="XNNPACK",
        taken=total - sum(outside.values()),
        operators=total,
        partitions=facts["partitions"],
        left=tuple(left),
        basis="measured",
        by=f"LiteRT {installed_versions(('ai-edge-litert',))['ai-edge-litert']} on this machine",
    )


def on_gpu(artifact: Artifact, layers: Layers) -> Placement:
    """Predicted support of LiteRT's GPU delegate."""
    from clearport.export.tflite.lint.gpu import lint

    report = lint(artifact.path)
    left = [Left(f.op, f.reason, layers.writing(f.writes, f.op)) for f in report.findings if f.reason]
    more = "; int8 is computed in float there" if artifact.precision == "int8" else ""
    return Placement(
        artifact=artifact.key,
        unit="LiteRT GPU delegate",
        taken=len(report.findings) - len(left),
        operators=len(report.findings),
        partitions=report.partitions,
        left=grouped(left),
        basis="predicted",
        by="gpu_compatibility.cc of TensorFlow (03a5e4e1)",
        remark=f"{'the largest part alone, unless asked for more' if report.partitions > 1 else ''}{more}".strip("; "),
    )


def on_nnapi(artifact: Artifact, layers: Layers) -> Iterator[Placement]:
    """NNAPI's predicted support at each API level; levels with the same outcome are merged."""
    from clearport.export.tflite.lint.levels import predict
    from clearport.export.tflite.lint.nnapi import lint

    report = lint(artifact.path)
    for outcome, group in itertools.groupby(predict(report), key=_outcome):
        levels = list(group)
        first, last = levels[0].api_level, levels[-1].api_level
        at = levels[-1]
        left = [
            Left(each.op, each.reasons[-1], layers.writing(report.findings[each.index].writes, each.op))
            for each in at.left
        ]
        yield Placement(
            artifact=artifact.key,
            unit=f"NNAPI {first}" if first == last else f"NNAPI {first} to {last}",
            taken=at.operators - len(outcome[1]),
            operators=at.operators,
            partitions=at.partitions,
            left=grouped(left),
            basis="predicted",
            by="nnapi_delegate.cc of LiteRT (5c8a6d4b)",
        )


def _outcome(level: LevelPrediction) -> tuple[int, tuple[tuple[int, str], ...]]:
    return level.partitions, tuple((left.index, left.reasons[-1]) for left in level.left)


def on_ethos_u(artifact: Artifact, chip: Chip, folder: Path, layers: Layers) -> Placement:
    """Operators that Vela leaves to the CPU beside an Ethos-U, and the network's memory there.

    Raises:
        BadInput, RuntimeFailure: Vela cannot compile the file.
    """
    from clearport.runtime.devices.ethosu.flow import compile_best

    report = compile_best(artifact.path, chip, folder, TIMEOUT_S).report
    units = {unit: sum(kinds.values()) for unit, kinds in report.operators_per_unit.items()}
    left = [Left(f.operator, _plain(f.reason), layers.writing(f.layer, f.operator)) for f in report.fallbacks]
    taken = units.get("npu", 0)
    return Placement(
        artifact=artifact.key,
        unit=f"Ethos-{chip.name.upper()}",
        taken=taken,
        operators=taken + len(left),
        partitions=int(report.facts["partitions"]),
        left=grouped(left),
        basis="compiled",
        by=f"Vela {report.tool_versions.get('ethos-u-vela', '')}, {chip.system}",
        remark=f"{report.estimated_ms:.1f} ms by its estimate",
        # if operators are left to the CPU, the last warning is about them
        memory="; ".join(report.warnings[: len(report.warnings) - bool(left)]),
    )


def _plain(reason: str) -> str:
    """Vela's message without the tensor name, so that equal messages are merged."""
    return re.sub(r"\s*\([^()]*\)$", "", reason)


def elsewhere(
    graph: Graph, quantized: QuantizedGraph | None, artifact: Artifact, options: Options, layers: Layers
) -> Iterator[Placement]:
    """Predicted support of an ONNX file by Hexagon, browsers' GPUs and WebNN."""
    model = onnx_form(target_graph(graph, quantized, artifact.precision), options)[0]
    nodes = [node for node in graphs.computed(model.graph) if not _folded(node)]
    edges = [
        (frozenset(v.name for v in node.inputs if v is not None), frozenset(v.name for v in node.outputs))
        for node in nodes
    ]
    for place in PLACES:
        taken = [_takes(place, node) for node in nodes]
        left = [_left(node, layers) for node, here in zip(nodes, taken, strict=True) if not here]
        yield Placement(
            artifact=artifact.key,
            unit=UNITS[place],
            taken=sum(taken),
            operators=len(nodes),
            partitions=partitions.count(edges, taken),
            left=grouped(left),
            basis="predicted",
            by=PLACES[place],
        )


def _folded(node: ir.Node) -> bool:
    """Whether it reads only constants, such as the dequantization of int8 weights."""
    return all(value is None or graphs.constant(value) is not None for value in node.inputs)


def _takes(place: Place, node: ir.Node) -> bool:
    test = table.of(node).elsewhere.get(place)
    return test is not None and test(node)


def _left(node: ir.Node, layers: Layers) -> Left:
    return Left(node.op_type, "not among its operators, or not in this form", layers.writing(_value(node)))


def _value(node: ir.Node) -> str:
    """The value of the float graph that a node computes or rounds."""
    if table.of(node).kind == "quantization":
        return graphs.name_of(graphs.need(node, 0))
    return graphs.name_of(node.outputs[0])


def on_neural_engine(artifact: Artifact, layers: Layers) -> Placement:
    """The operators of a Core ML program that compute in float16, as the Neural Engine requires.

    Apple does not document which of them it supports; on a Mac, ``MLComputePlan`` tells.
    """
    nodes = list(layers.nodes.values())
    half = artifact.precision in {"fp16", "int8-weights"}
    names = fp32_fallback.choose(layers.graph).names if half else frozenset[str]()
    taken = [half and not any(graphs.name_of(value) in names for value in node.outputs) for node in nodes]
    why = "it computes in float32, which Core ML runs on CPU and GPU"
    left = [Left(node.op_type, why, layers.of(node)) for node, here in zip(nodes, taken, strict=True) if not here]
    edges = [
        (frozenset(v.name for v in node.inputs if v is not None), frozenset(v.name for v in node.outputs))
        for node in nodes
    ]
    return Placement(
        artifact=artifact.key,
        unit="Core ML Neural Engine",
        taken=sum(taken),
        operators=len(nodes),
        partitions=partitions.count(edges, taken),
        left=grouped(left) if half else (),
        basis="predicted",
        by="the guide of coremltools, Typed Execution: float32 computes on CPU and GPU alone; Apple lists no operators",
        remark="" if half else "computes in float32: use fp16 or int8-weights",
    )


def float_convolutions(found: Sequence[tuple[str, str]], quantized: QuantizedGraph, layers: Layers) -> list[Layer]:
    """Convolutions that are int8 in the scale table but that ONNX Runtime computes in float.

    ``found`` are the kernels that it chose (``Isolated.kernels``).
    """
    wanted = {
        graphs.name_of(node.outputs[0])
        for node in quantized.graph.model.graph
        if table.of(node).kind == "convolution" and graphs.name_of(node.outputs[0]) in quantized.table
    }
    kept = Counter(value for kind, value in found if kind.startswith(("Conv", "Fused")))
    return [layers.writing(value) for value in kept if _base(value, wanted)]


def _base(value: str, wanted: set[str]) -> bool:
    return any(value == name or value.startswith((f"{name}.", f"{name}_")) for name in wanted)
