"""Findings from the exported graph alone: float layers of int8 files, clamps, known quirks, sizes, receptive field."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from clearport.export.quirks.table import of as quirk_of
from clearport.graph import nodes as graphs
from clearport.graph import partitions, shapes
from clearport.operators import sizes as graph_sizes
from clearport.operators import table
from clearport.operators.reach import Whole, halo_of
from clearport.pipeline.lint.advice import BY_KIND, advice, many_axes, wrong_order
from clearport.pipeline.lint.values import Finding, InFloat, Tiles
from clearport.quantize.placement import cost, fold
from clearport.quantize.placement import floats as placement
from clearport.runtime.tiling import Tiling

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Size
    from clearport.pipeline.lint.layers import Layers
    from clearport.pipeline.sources.source import Traits

_QUIRKS: Mapping[str, str] = {
    "coreml": "coreml",
    "ncnn": "ncnn",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "tflite": "litert",
}
"""Target -> table of its runtime's deviations (``export/quirks``)."""


def in_float(layers: Layers) -> tuple[InFloat, list[Finding]]:
    """The layers that stay float in int8, and a finding per type of operator that causes it."""
    graph = layers.graph
    names = placement.floats(graph)
    nodes = [node for node in layers.nodes.values() if placement.name_of(node) in names]
    macs = cost.macs(graph)
    share = sum(macs.get(name, 0.0) for name in names) / max(1.0, sum(macs.values()))
    regions = partitions.count(*_edges(layers, names))
    found = InFloat(layers=layers.all_of(nodes), macs_share=round(share, 4), regions=regions)
    return found, list(_float_findings(layers, found))


def _edges(layers: Layers, names: frozenset[str]) -> tuple[Sequence[partitions.Edge], list[bool]]:
    nodes = list(layers.nodes.values())
    edges = [
        (frozenset(v.name for v in node.inputs if v is not None), frozenset(v.name for v in node.outputs))
        for node in nodes
    ]
    return edges, [placement.name_of(node) in names for node in nodes]


def _float_findings(layers: Layers, found: InFloat) -> Iterator[Finding]:
    """A finding per operator without an int8 form; layers that are float only because of those need no remedy."""
    causes: dict[str, list[ir.Node]] = {}
    for layer in found.layers:
        node = layers.node(layer)
        if node is not None and not placement.can_be_int8(node):
            causes.setdefault(node.op_type, []).append(node)
    macs = cost.macs(layers.graph)
    for operator, nodes in causes.items():
        own = sum(macs.get(placement.name_of(node), 0.0) for node in nodes) / max(1.0, sum(macs.values()))
        yield Finding(
            level="warning",
            rule="float-in-int8",
            where=("int8",),
            layers=layers.all_of(nodes),
            why=f"{operator} has no int8 form as it is used here: it computes in float, with the cheap layers around it"
            + (f" ({own:.1%} of the multiply-accumulates)" if own else ""),
            todo=BY_KIND[table.of(nodes[0]).kind],
        )


def clamps(layers: Layers) -> Iterator[Finding]:
    """Clamps that cannot be folded into an int8 range."""
    graph = layers.graph
    left = set(fold.left(fold.run(graph, placement.floats(graph))))
    for node in (node for name, node in layers.nodes.items() if name in left):
        clamp, source = graphs.clamp_of(node), graphs.producer(graphs.need(node, 0))
        if clamp is None or source is None or not table.of(source).int8:
            continue
        off_zero = not clamp.lo <= 0.0 <= clamp.hi
        shared = graphs.only_consumer(source.outputs[0]) is None
        why = (
            "its range does not contain 0"
            if off_zero
            else "its input has other consumers, too"
            if shared
            else "it moves data"
        )
        yield Finding(
            level="warning",
            rule="clamp-inside-the-range",
            where=("int8",),
            layers=layers.all_of([node]),
            why=f"a clamp to {clamp.lo:g}..{clamp.hi:g} that cannot be folded into the range of {source.name!r}, since "
            f"{why}: it stays a separate operator in int8",
            todo="let all consumers read the clamp's output, and clamp directly after the layer, to a range with 0",
        )


def quirks(layers: Layers, targets: frozenset[str]) -> Iterator[Finding]:
    """Forms that a runtime is known to compute incorrectly, and the writer's workaround."""
    for target, name in _QUIRKS.items():
        known = importlib.import_module(f"clearport.export.quirks.{name}").QUIRKS
        for node in layers.nodes.values() if target in targets else ():
            quirk = quirk_of(node, known)
            if quirk is None or quirk.answer == "refused":
                continue  # the target itself reports refusals, with the layer
            yield Finding(
                level="note",
                rule="runtime-quirk",
                where=(target,),
                layers=layers.all_of([node]),
                why=f"{quirk.form}: by itself the runtime computes {quirk.instead} ({quirk.seen}); {quirk.answer}",
                todo=f"nothing: {quirk.how}; {BY_KIND[table.of(node).kind]} to avoid that",
            )


def forms(layers: Layers) -> Iterator[Finding]:
    """Pixel shuffles and permutations that the passes could not convert to a form that every runtime supports."""
    for test in (wrong_order, many_axes):
        nodes = [node for node in layers.nodes.values() if test(node)]
        if nodes:
            rule, todo = advice(nodes[0])
            kinds = ", ".join(dict.fromkeys(node.op_type for node in nodes))
            why = {
                wrong_order: "a 1x1 convolution that only reorders channels for a PixelShuffle: TFLite and NPUs have "
                "another channel order than PyTorch, and the preceding layers cannot be permuted",
                many_axes: f"{kinds} of more than four axes, which NNAPI, GPUs and ncnn do not have",
            }[test]
            yield Finding(level="warning", rule=rule, layers=layers.all_of(nodes), why=why, todo=todo)


def sizes(layers: Layers, size: Size | None, traits: Traits) -> Iterator[Finding]:
    """Sides that are not divisible by the strides of feature maps, and constants that fix a size."""
    graph = layers.graph
    step = graph_sizes.coarsest_stride(graph)
    if size is not None and (size.height % step or size.width % step):
        yield Finding(
            level="warning",
            rule="odd-size",
            layers=layers.all_of(_coarser(layers)),
            why=f"{size} is not a multiple of {step}, the total stride of feature maps: their sizes are rounded, and "
            "upsampled features may be off by up to half a cell",
            todo=f"export for sides that are multiples of {step}",
        )
    elif traits.size_multiple > 1:
        yield Finding(
            level="note",
            rule="odd-size",
            layers=layers.all_of(_coarser(layers)),
            why=f"sides are multiples of {traits.size_multiple}: other pictures are extended by mirroring, then cut",
            todo="use pictures of such sizes if every pixel matters",
        )
    bound = graph_sizes.size_bound(graph) if size is not None else None
    if bound is not None:
        yield Finding(
            level="note",
            rule="one-size",
            layers=layers.all_of([bound]),
            why=f"{bound.op_type} fixes the size: the files accept {size} only",
            todo="compute shapes from the input, or export once per size",
        )


def _coarser(layers: Layers) -> list[ir.Node]:
    return [
        node
        for node in layers.nodes.values()
        if max(graphs.attr_ints(node, "strides", (1,))) > 1 and not table.of(node).transposed
    ]


def tiles(layers: Layers, traits: Traits) -> tuple[Tiles, list[Finding]]:
    """Tiling: its overhead, and the layers that cause it."""
    graph = layers.graph
    cutting = Tiling.of(traits, traits.scale, shapes.lead(graph.inputs), traits.crop)
    picture = shapes.lead(graph.inputs).is_picture and len(shapes.lead(graph.outputs).shape) == 4
    extra = _extra(cutting)
    found = Tiles(halo=traits.halo, whole_picture=traits.whole_picture, multiple=cutting.multiple, extra_share=extra)
    return found, [*_reach(layers, traits, cutting, extra)] if picture else []


def _extra(cutting: Tiling) -> float | None:
    """Overhead of tiles of one size: computed pixels beyond those kept, as a share."""
    if cutting.size is None:
        return 0.0 if cutting.halo == 0 else None
    if cutting.uncuttable:
        return None
    kept = (cutting.size.height - 2 * cutting.halo) * (cutting.size.width - 2 * cutting.halo)
    return round(cutting.size.height * cutting.size.width / kept - 1, 4)


def _reach(layers: Layers, traits: Traits, cutting: Tiling, extra: float | None) -> Iterator[Finding]:
    if traits.whole_picture:
        yield Finding(
            level="warning",
            rule="whole-picture",
            layers=layers.all_of(_whole(layers)),
            why="an output pixel depends on the whole picture: larger pictures are processed in tiles, which may "
            "differ in tone",
            todo="export with the --size of the pictures, or average over windows of a fixed size instead",
        )
    elif cutting.uncuttable:
        yield Finding(
            level="warning",
            rule="reach",
            why=f"the receptive field reaches {traits.halo} pixels to each side, more than a tile of {cutting.size} "
            "has: these files cannot restore larger pictures",
            todo=f"--size {cutting.larger()} restores pictures of any size",
        )
    elif extra is not None and cutting.size is not None:
        yield Finding(
            level="note",
            rule="reach",
            why=f"the receptive field reaches {traits.halo} pixels to each side: for larger pictures, tiles of "
            f"{cutting.size} add {extra:.0%} of computation",
            todo="a larger --size reduces it" if extra > 0 else "nothing",
        )


def _whole(layers: Layers) -> list[ir.Node]:
    """The layers that read the whole picture, as far as the operators show it."""
    try:
        halo_of(layers.graph)
    except Whole as where:
        return [node for name, node in layers.nodes.items() if f"{name!r}" in str(where)]
    return []
