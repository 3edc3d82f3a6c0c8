"""TFLite files, written directly: no TensorFlow, no converter.

Given a graph in clearport's dialect, and for int8 its scale table
    Result NHWC operators without a TRANSPOSE, in the lowest operator versions, so that NNAPI takes all of it and
    XNNPACK runs it as one partition. QUANTIZE and DEQUANTIZE stand inside only around what the table leaves in float.

fp32 and fp16 files take and give float32. fp16 files store float16 constants behind DEQUANTIZE operators, the form
that TensorFlow's converter gives too. int8 files take and give int8 or uint8 pixels, or float32, as asked; for
uint8 and float32 a QUANTIZE or DEQUANTIZE stands at either end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Artifact, BadInput, NotInstalled, Options, Precision, Skipped
from clearport.disk.files import digest, write_bytes
from clearport.export.written import written
from clearport.operators import sizes as graph_sizes
from clearport.registry import installed_versions, missing

if TYPE_CHECKING:
    from clearport.base import Graph, QuantizedGraph, Size, TensorSpec
    from clearport.export.tflite.lower import Lowering
    from clearport.export.tflite.tensors import Tensor


class TfliteTarget:
    """The target ``tflite`` (see the module's docstring)."""

    name = "tflite"
    title = "TensorFlow Lite (LiteRT)"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    requires = ("ai-edge-litert", "flatbuffers")

    def lower(
        self, graph: Graph, quantized: QuantizedGraph | None, precision: Precision, options: Options, folder: Path
    ) -> Sequence[Artifact | Skipped]:
        """Write ``<network>_x<scale>_<precision>.tflite``.

        Raises:
            UnsupportedOperator: TFLite cannot express an operator.
            BadInput: the graph was made for another size than ``options.size``.
            NotInstalled: ai-edge-litert or flatbuffers is missing.
        """
        if missing(self.requires):
            raise NotInstalled(missing(self.requires)[0], self.name)
        if precision not in self.precisions:
            return [Skipped(f"{self.name}/{precision}", f"TFLite is written as {', '.join(self.precisions)}")]
        data, source, result = emit(graph, quantized, precision, options)
        path = folder / f"{graph.spec_name}_x{graph.scale}_{precision}.tflite"
        write_bytes(path, data)
        versions = {name: found for name, found in installed_versions(self.requires).items() if found}
        return [Artifact(self.name, precision, path, digest(path), (source,), (result,), versions)]


def emit(
    graph: Graph, quantized: QuantizedGraph | None, precision: Precision, options: Options
) -> tuple[bytes, TensorSpec, TensorSpec]:
    """The bytes of a .tflite file, and what its input and output are."""
    from clearport.export.tflite.lower import Lowering

    graph, table = written(graph, quantized, precision)
    size = _size(graph, options.size)
    low = Lowering(graph, size, table, "float16" if precision == "fp16" else "float32")
    source = _source(low, options)
    result = _result(low, low.run(), options)
    specs = _spec(graph.input, source, 1), _spec(graph.output, result, graph.scale)
    return _finish(low, source, result, specs), *specs


def _size(graph: Graph, size: Size | None) -> Size | None:
    """The size to write, after checking that the graph fits it."""
    height, width = graph.input.shape[2:4]
    if isinstance(height, str) or isinstance(width, str) or (size and (size.height, size.width) == (height, width)):
        return size
    bound = graph_sizes.size_bound(graph)
    if bound is not None:
        raise BadInput(
            f"the graph was made for {height}x{width} (its {bound.op_type} {bound.name!r} holds that size) and cannot "
            f"be written for {size or 'any size'}: export it again with that size"
        )
    return size


def _source(low: Lowering, options: Options) -> Tensor:
    """The file's input: the graph's own, or one in the pixels that were asked for and a QUANTIZE."""
    inner = low.source
    name = low.graph.input.name
    outer = _edge(low, inner, options, name)
    if outer is None:
        return low.file.rename(inner, name)
    low.file.operator("QUANTIZE", [outer], low.file.rename(inner, f"{name}/int8"))
    return outer


def _result(low: Lowering, inner: Tensor, options: Options) -> Tensor:
    name = low.graph.output.name
    outer = _edge(low, inner, options, name)
    if outer is None:
        return low.file.rename(inner, name)
    low.file.operator("QUANTIZE" if outer.quant else "DEQUANTIZE", [low.file.rename(inner, f"{name}/int8")], outer)
    return outer


def _edge(low: Lowering, inner: Tensor, options: Options, name: str) -> Tensor | None:
    """The tensor that users see, where that is another one than ``inner``."""
    from clearport.export.tflite.tensors import Quant

    if inner.quant is None or options.io == "int8":
        return None
    # The same steps counted from 0: QUANTIZE between the two flips the top bit and nothing else.
    quant = Quant(inner.quant.scale, inner.quant.zero_point + 128) if options.io == "uint8" else None
    return low.file.tensor(name, inner.dims, options.io, quant, inner.free)


def _spec(spec: TensorSpec, tensor: Tensor, scale: int) -> TensorSpec:
    """The contract of the file's own input or output; ``scale`` is how many times the input's size it has."""
    step, zero_point = (None, None) if tensor.quant is None else (tensor.quant.scale[0], tensor.quant.zero_point)
    times = "" if scale == 1 else f"{scale}*"
    symbols = ("", f"{times}H", f"{times}W", "")
    free = tensor.free or (False,) * len(tensor.dims)
    shape = tuple(symbol if f else n for symbol, n, f in zip(symbols, tensor.dims, free, strict=True))
    return replace(spec.with_dtype(tensor.dtype, step, zero_point, "NHWC"), shape=shape)


def _finish(low: Lowering, source: Tensor, result: Tensor, specs: tuple[TensorSpec, TensorSpec]) -> bytes:
    from clearport.export.tflite import metadata

    name = f"{low.graph.spec_name} x{low.graph.scale}"
    ends = metadata.ImageTensor.of(specs[0]), metadata.ImageTensor.of(specs[1])
    packed = metadata.pack(metadata.Metadata(name, "image restoration, written by clearport", ends[:1], ends[1:]))
    names = specs[0].name, specs[1].name
    return low.file.to_bytes(source, result, names, {metadata.NAME: packed})


TARGET = TfliteTarget()
