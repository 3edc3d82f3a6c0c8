"""TFLite files, written directly: no TensorFlow, no converter.

A graph in clearport's dialect, for int8 with its scale table, becomes NHWC operators without a TRANSPOSE, in the lowest
operator versions, so that NNAPI takes all of it and XNNPACK runs it as one partition. Inside the network, QUANTIZE and
DEQUANTIZE appear only around float fallback regions.

fp32 and fp16 files have float32 inputs and outputs. fp16 files store float16 constants with DEQUANTIZE operators, as
TensorFlow's converter does. Inputs and outputs of int8 files are int8 or uint8 pixels, or float32 (``--io``); for uint8
and float32 there is a QUANTIZE or DEQUANTIZE at either end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Artifact, Options, Precision, Skipped
from clearport.disk.files import digest, write_bytes
from clearport.errors import BadInput, NotInstalled
from clearport.export.passes.plain import curves, ranks, recurrent, resampled, sampling
from clearport.export.passes.rewriting import fixed
from clearport.export.tflite import resize
from clearport.graph import nodes as graphs
from clearport.graph import shapes
from clearport.operators import sizes as graph_sizes
from clearport.quantized import TargetGraph
from clearport.registry import installed_versions, missing

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Graph, Size, TensorSpec
    from clearport.export.tflite.lower import Lowering
    from clearport.export.tflite.tensors import Tensor
    from clearport.quantized import ScaleTable

    Specs = tuple[TensorSpec, ...]


class TfliteTarget:
    """The target ``tflite`` (see the module's docstring)."""

    name = "tflite"
    title = "TensorFlow Lite (LiteRT)"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    requires = ("ai-edge-litert", "flatbuffers")

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write ``<network>_x<scale>_<precision>.tflite``.

        Raises:
            UnsupportedOperator: TFLite cannot express an operator.
            BadInput: the graph was made for a size other than ``options.size``.
            NotInstalled: ai-edge-litert or flatbuffers is missing.
        """
        if missing(self.requires):
            raise NotInstalled(missing(self.requires)[0], self.name)
        if form.precision not in self.precisions:
            return [Skipped(f"{self.name}/{form.precision}", f"TFLite is written as {', '.join(self.precisions)}")]
        data, inputs, outputs = emit(form, options)
        path = folder / f"{form.graph.stem}_{form.precision}.tflite"
        write_bytes(path, data)
        versions = {name: found for name, found in installed_versions(self.requires).items() if found}
        return [Artifact(self.name, form.precision, path, digest(path), inputs, outputs, versions)]


def emit(form: TargetGraph, options: Options) -> tuple[bytes, Specs, Specs]:
    """The bytes of a .tflite file, and the contracts of its inputs and outputs."""
    from clearport.export.tflite.lower import Lowering

    graph, size = form.graph, _size(form.graph, options.size)
    half = form.precision == "fp16"
    plain = curves.without_erf(ranks.run(sampling.run(recurrent.run(graph))))
    sampled = resampled.picked_out(plain, _resized(form.table))
    table = None if form.table is None else _with_parts(plain, sampled, form.table)
    low = Lowering(sampled, size, table, "float16" if half else "float32")
    sources = [_source(low, *each, options) for each in zip(graph.inputs, low.sources, strict=True)]
    results = [_result(low, *each, options) for each in zip(graph.outputs, low.run(), strict=True)]
    inputs, outputs = (
        tuple(_spec(spec, tensor) for spec, tensor in zip(specs, tensors, strict=True))
        for specs, tensors in ((_freed(graph, graph.inputs), sources), (_freed(graph, graph.outputs), results))
    )
    named = [{s.name: t for s, t in zip(*ends, strict=True)} for ends in ((inputs, sources), (outputs, results))]
    packed = _metadata(low, inputs, outputs)
    return low.file.to_bytes(named[0], named[1], packed), inputs, outputs


def _resized(table: ScaleTable | None) -> Callable[[ir.Node], bool]:
    """Whether a Resize stays: TFLite samples like ONNX Runtime, or it is a linear one in int8, which products cannot
    be.
    """

    def stays(node: ir.Node) -> bool:
        before = fixed(graphs.need(node, 0))
        nearest = graphs.attr_str(node, "mode", "nearest") == "nearest"
        in_int8 = table is not None and node.outputs[0].name in table and not nearest
        return before is None or in_int8 or resize.form(node, before[2:]) is not None

    return stays


def _with_parts(before: Graph, after: Graph, table: ScaleTable) -> ScaleTable:
    """The table with entries for the intermediate tensors of index operations: those of their int8 results."""
    if after is before:
        return table
    known, entries = {value.name for value in graphs.values(before)}, dict(table.entries)
    for node in reversed(tuple(after.model.graph)):
        made = node.outputs[0]
        reader = graphs.consumers(made)[0].outputs[0].name if made.name not in known and made.uses() else None
        if reader in entries:
            entries[graphs.name_of(made)] = entries[reader]
    return replace(table, entries=entries)


def _size(graph: Graph, size: Size | None) -> Size | None:
    """The size to write, after checking that the graph fits it."""
    own = shapes.size_of(graph.input)
    if own is None or size == own:
        return size
    bound = graph_sizes.size_bound(graph)
    if bound is not None:
        raise BadInput(
            f"the graph was made for {own} (its {bound.op_type} {bound.name!r} holds that size) and cannot "
            f"be written for {size or 'any size'}: export it again with that size"
        )
    return size


def _freed(graph: Graph, specs: Specs) -> Specs:
    """The symbolic sides of a file of dynamic size, whatever size the graph was made for."""
    own = shapes.size_of(graph.input)
    return shapes.freed(specs, own) if own is not None else specs


def _source(low: Lowering, spec: TensorSpec, inner: Tensor, options: Options) -> Tensor:
    """An input of the file: the graph's own, or one of the requested dtype with a QUANTIZE."""
    outer = _edge(low, inner, options, spec)
    if outer is None:
        return low.file.rename(inner, spec.name)
    low.file.operator("QUANTIZE", [outer], low.file.rename(inner, f"{spec.name}/int8"))
    return outer


def _result(low: Lowering, spec: TensorSpec, inner: Tensor, options: Options) -> Tensor:
    outer = _edge(low, inner, options, spec)
    if outer is None:
        return low.file.rename(inner, spec.name)
    inside = low.file.rename(inner, f"{spec.name}/int8")
    low.file.operator("QUANTIZE" if outer.quant else "DEQUANTIZE", [inside], outer)
    return outer


def _edge(low: Lowering, inner: Tensor, options: Options, spec: TensorSpec) -> Tensor | None:
    """The external tensor if it differs from ``inner``: 8-bit pixels, for pictures only."""
    from clearport.export.tflite.tensors import Quant

    if inner.quant is None or options.io == "int8":
        return None
    if options.io == "uint8" and spec.is_picture:
        # The same grid with zero point + 128: a QUANTIZE between the two only flips the top bit.
        quant = Quant(inner.quant.scale, inner.quant.zero_point + 128)
        return low.file.tensor(spec.name, inner.dims, "uint8", quant, inner.free)
    return low.file.tensor(spec.name, inner.dims, "float32", None, inner.free)


def _spec(spec: TensorSpec, tensor: Tensor) -> TensorSpec:
    """The contract of the file's own input or output."""
    step, zero_point = (None, None) if tensor.quant is None else (tensor.quant.scale[0], tensor.quant.zero_point)
    made = spec.with_dtype(tensor.dtype, step, zero_point, "NHWC")
    free = tensor.free or (False,) * len(tensor.dims)
    sides = zip(made.shape if len(made.shape) == len(free) else tensor.dims, tensor.dims, free, strict=True)
    return replace(made, shape=tuple(said if f else n for said, n, f in sides))


def _metadata(low: Lowering, inputs: Specs, outputs: Specs) -> dict[str, bytes]:
    """The file's metadata on inputs and outputs, for Android's tools."""
    from clearport.export.tflite import metadata

    name = f"{low.graph.spec_name} x{low.graph.scale}"
    about = "image restoration, written by clearport"
    ends = (tuple(metadata.Described.of(spec) for spec in specs) for specs in (inputs, outputs))
    return {metadata.NAME: metadata.pack(metadata.Metadata(name, about, *ends))}


TARGET = TfliteTarget()
