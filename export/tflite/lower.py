"""Lowers an ONNX graph to TFLite operators; the conversion rules are in ``ops_*.py``.

Layout: every tensor has an order in which the file stores its axes: NHWC for rank 4, ONNX's order for any other rank. A
Transpose emits no operator; it only permutes the recorded axis order. A rule requests the order that its kernel needs,
or accepts the current one; a TRANSPOSE is written only where the two differ.

In float files a Relu or Clip becomes the preceding operator's fused activation if TFLite has one; int8 ranges clamp.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clearport.base import Size
from clearport.errors import UnsupportedOperator
from clearport.export.half import fits_half, weighs
from clearport.export.tflite.file import FlatFile
from clearport.export.tflite.operands import clamp_behind
from clearport.export.tflite.order import Order, broadcasting, free_axes, in_order, native
from clearport.export.tflite.tensors import Quant, Tensor, quant_of
from clearport.export.without_rule import require_rules
from clearport.graph import nodes as graphs
from clearport.graph import shapes
from clearport.operators import table
from clearport.quantize.scheme import to_integers
from clearport.quantized import QParams, ScaleTable

if TYPE_CHECKING:
    import onnx_ir as ir

    from clearport.base import Array, Graph, TensorSpec

Weights = Literal["float32", "float16"]

TARGET_NAME = "tflite"
EXAMPLE = Size(64, 64)
"""Default size in files with dynamic sizes, used by an interpreter that does not resize its input."""

NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)
"""``ActivationFunctionType`` of the TFLite schema."""
_STORED = {"b": np.bool_, "i": np.int32, "u": np.int32}
"""Kind of integer and Boolean constants -> stored dtype."""
_FUSED = {(0.0, math.inf): RELU, (-1.0, 1.0): RELU_N1_TO_1, (0.0, 6.0): RELU6}


class Lowering:
    """The lowering of one graph into one file.

    ``table`` is set for int8 files; ``weights`` is the stored dtype of float constants. ``size`` is the input size,
    None for dynamic. Rules read tensors with ``tensor`` and constants with ``constant``, and emit operators with
    ``write``; ``quant`` tells whether the current node computes in int8.
    """

    def __init__(self, graph: Graph, size: Size | None, table: ScaleTable | None, weights: Weights = "float32") -> None:
        self.graph = graph
        self.table = table
        self.file = FlatFile(graph.spec_name)
        self._weights = weights
        self._tensors: dict[str, Tensor] = {}
        self._orders: dict[str, Order] = {}
        self._arranged: dict[tuple[str, Order], Tensor] = {}
        self._left: dict[str, tuple[float, float]] = {}
        self._full: dict[int, Tensor] = {}
        self._real: dict[int, Tensor] = {}
        shown, own = size or EXAMPLE, shapes.size_of(graph.input)
        self._of_size = own == shown or (own is None and not graph.input.dynamic)
        self.sources = tuple(self._source(spec, shown, free=size is None) for spec in _freed(graph))

    def _source(self, spec: TensorSpec, shown: Size, *, free: bool) -> Tensor:
        """The tensor of an input, with its axes in the order ``native``."""
        order = native(len(spec.shape))
        dims = shapes.shape_at(spec, shown)
        loose = [free and isinstance(spec.shape[axis], str) for axis in order]
        dtype = spec.dtype if spec.kind == "index" else "float32"
        quant = self._quant_of(spec.name)
        stored = [dims[axis] for axis in order]
        self._tensors[spec.name] = self.file.tensor(spec.name, stored, dtype if quant is None else "int8", quant, loose)
        return self._tensors[spec.name]

    def run(self) -> tuple[Tensor, ...]:
        """Lower every node, and return the tensors of the graph's outputs.

        Raises:
            UnsupportedOperator: a node has no conversion rule, or none for its attributes and shapes.
        """
        nodes = tuple(graphs.computed(self.graph.model.graph))
        require_rules(TARGET_NAME, nodes, lambda node: table.of(node).tflite is not None)
        for node in nodes:
            rule = table.of(node).tflite
            assert rule is not None
            if graphs.name_of(node.outputs[0]) not in self._tensors:  # else a rule wrote its follower, too
                rule(self, node)
        return tuple(self.arranged(value) for value in self.graph.model.graph.outputs)

    def refuse(self, node: ir.Node, why: str) -> UnsupportedOperator:
        """The error for a node that TFLite cannot express."""
        return UnsupportedOperator(TARGET_NAME, node.op_type, _layer(node), why)

    def tensor(self, node: ir.Node, index: int = 0, order: Order | None = None) -> Tensor:
        """Input ``index`` of a node in ``order``, else ``native``; a constant so that it broadcasts over NHWC.

        Dequantized to float32 if the node computes in float.
        """
        value = graphs.need(node, index)
        if graphs.constant(value) is None:
            return self._suited(node, self.arranged(value, order))
        return self.constant(node, index, broadcasting)

    def pictures(self, node: ir.Node) -> Tensor:
        """Input 0 as (N, H, W, C), for spatial kernels.

        Raises:
            UnsupportedOperator: it does not have four axes.
        """
        image = self.tensor(node)
        if len(image.dims) != 4:
            raise self.refuse(node, f"input rank {len(image.dims)}: TFLite expects (N, C, H, W)")
        return image

    def stored(self, node: ir.Node, index: int = 0) -> tuple[Tensor, Order]:
        """Input ``index`` as stored in the file, and its axis order; constants are in ONNX's order."""
        value = graphs.need(node, index)
        if graphs.constant(value) is not None:
            given = self.constant(node, index, lambda array: array)
            return given, tuple(range(len(given.dims)))
        given, order = self.written(value)
        return self._suited(node, given), order

    def written(self, value: ir.Value) -> tuple[Tensor, Order]:
        """The tensor of a computed value as stored, and its axis order."""
        name = graphs.name_of(value)
        return self._tensors[name], self._orders.get(name, native(len(self._tensors[name].dims)))

    def arranged(self, value: ir.Value, order: Order | None = None) -> Tensor:
        """A value in a given axis order, by default its own; a TRANSPOSE is emitted on first use only."""
        name = graphs.name_of(value)
        given = self._tensors[name]
        wanted, has = (order or native(len(given.dims)), self._orders.get(name, native(len(given.dims))))
        if wanted == has:
            return given
        if (name, wanted) not in self._arranged:
            perm = [has.index(axis) for axis in wanted]
            dims = [given.dims[axis] for axis in perm]
            free = [given.free[axis] for axis in perm] if given.free else []
            made = self.file.tensor(in_order(name, wanted), dims, given.dtype, given.quant, free)
            long = [axis for axis in perm if given.dims[axis] != 1]
            if long == sorted(long) and not any(free):  # only axes of size 1 move
                self.file.operator("RESHAPE", [given, self.integers("shape", dims)], made, newShape=dims)
            else:
                self.file.operator("TRANSPOSE", [given, self.integers("perm", perm)], made)
            self._arranged[name, wanted] = made
        return self._arranged[name, wanted]

    def constant(self, node: ir.Node, index: int, arrange: Callable[[Array], Array], axis: int = 0) -> Tensor:
        """Constant input ``index``, in the file's dtype, after ``arrange`` changed its layout.

        ``axis`` is the axis of per-channel scales in the new layout.
        """
        array = graphs.need_constant(node, index)
        name = graphs.name_of(graphs.need(node, index))
        if self.quant(node) is not None:
            params = self.params(name)
            return self.file.constant(name, arrange(to_integers(array, params)), quant_of(params, axis))
        arranged = arrange(array.astype(_STORED.get(array.dtype.kind, np.float32)))
        half = self._weights == "float16" and arranged.dtype == np.float32 and weighs(node) and fits_half(arranged)
        return self._half(name, arranged) if half else self.file.constant(name, arranged)

    def integers(self, name: str, numbers: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        """A constant of int32: sizes, axes, paddings."""
        return self.file.constant(name, np.array(numbers, np.int32))

    def number(self, name: str, value: float, like: Tensor) -> Tensor:
        """One real number in the format of ``like``."""
        if like.quant is None:
            return self.file.constant(name, np.array([value], np.float32))
        step = round(value / like.quant.scale[0]) + like.quant.zero_point if math.isfinite(value) else value
        return self.file.constant(name, np.array([min(max(step, -128), 127)], np.int8), like.quant)

    def write(
        self,
        node: ir.Node,
        op: str,
        inputs: Sequence[Tensor],
        dims: Sequence[int],
        order: Order | None = None,
        **options: Any,
    ) -> Tensor:
        """Append ``op``, which writes the node's output with sizes ``dims`` as stored in ``order``."""
        output = self.output(node, inputs, dims, order)
        self.file.operator(op, inputs, output, **options)
        return output

    def output(
        self, node: ir.Node, inputs: Sequence[Tensor], dims: Sequence[int], order: Order | None = None
    ) -> Tensor:
        """The output tensor of an operator that is appended later; its sizes are dynamic if an input's are.

        Raises:
            UnsupportedOperator: the sizes are not those of the graph: the file would compute something else.
        """
        usual = native(len(dims))
        self._agree(node, dims, order or usual)
        name, dtype = graphs.name_of(node.outputs[0]), self.dtype(node.outputs[0])
        if order not in {None, usual}:  # readers of the file's tensors need this
            name = in_order(name, order or usual)
        free, quant = free_axes(inputs, dims, order), self.quant(node) if dtype == "float32" else None
        made = self.file.tensor(name, dims, dtype if quant is None else "int8", quant, free)
        return self.bind(node, made, order)

    def dtype(self, value: ir.Value) -> str:
        """Stored dtype of a value: bool, int32 or float32."""
        if value.dtype is None or value.dtype.is_floating_point():
            return "float32"
        return "bool" if value.dtype.name == "BOOL" else "int32"

    def _agree(self, node: ir.Node, dims: Sequence[int], order: Order) -> None:
        """Refuse sizes that differ from those of a graph made for the size being written."""
        shape = node.outputs[0].shape
        if shape is None or not self._of_size:
            return
        said = [shape[axis] for axis in order] if len(shape) == len(order) else None
        if said is None or any(isinstance(n, int) and n != m for n, m in zip(said, dims, strict=True)):
            raise self.refuse(node, f"it would be written with shape {list(dims)}, but the graph has {list(shape)}")

    def between(self, node: ir.Node, what: str, like: Tensor, dims: Sequence[int], *, rescaled: bool = False) -> Tensor:
        """An intermediate tensor of a node, in the format of ``like``, or with the scale of the node's output."""
        name = f"{graphs.name_of(node.outputs[0])}/{what}"
        quant = self.quant(node) if rescaled else like.quant
        return self.file.tensor(name, dims, like.dtype, quant, free_axes([like], dims))

    def bind(self, node: ir.Node, output: Tensor, order: Order | None = None) -> Tensor:
        """Register ``output``, stored in ``order``, as the node's output."""
        name = graphs.name_of(node.outputs[0])
        self._tensors[name] = output
        self._orders[name] = order or native(len(output.dims))
        return output

    def quant(self, node: ir.Node) -> Quant | None:
        """The quantization of the node's output; None if it computes in float."""
        return self._quant_of(graphs.name_of(node.outputs[0]))

    def same_scale(self, node: ir.Node, *inputs: Tensor) -> None:
        """Refuse a node whose output scale differs from its inputs' where TFLite's kernel copies values."""
        output = self.quant(node)
        if any(t.quant != output for t in inputs):
            raise self.refuse(node, "its inputs and output must share one scale and zero point in int8")

    def activation(self, node: ir.Node) -> int:
        """The activation to fuse into ``node`` for a following Relu or Clip, if TFLite has one."""
        clamp = clamp_behind(node) if self.quant(node) is None else None
        if clamp is None:
            return NONE
        follower, bounds = clamp
        if bounds in _FUSED:
            self._left[graphs.name_of(follower.outputs[0])] = (-math.inf, math.inf)
            return _FUSED[bounds]
        if bounds[0] == 0:
            self._left[graphs.name_of(follower.outputs[0])] = (-math.inf, bounds[1])
            return RELU
        return NONE

    def bounds_left(self, node: ir.Node) -> tuple[float, float]:
        """Remaining bounds of a Relu or Clip; infinite where the preceding operator already clamps."""
        clamp = graphs.clamp_of(node)
        if clamp is None:
            raise self.refuse(node, "its bounds are not constants")
        return self._left.get(graphs.name_of(node.outputs[0]), (clamp.lo, clamp.hi))

    def _quant_of(self, name: str) -> Quant | None:
        return quant_of(self.table[name]) if self.table is not None and name in self.table else None

    def _suited(self, node: ir.Node, stored: Tensor) -> Tensor:
        """A tensor as the node reads it: int8 tensors are dequantized for nodes that compute in float."""
        if self.quant(node) is not None:
            if stored.quant is None:
                raise graphs.MalformedGraph(
                    f"the scale table has no entry for {stored.name!r}, which the int8 operator {_layer(node)!r} reads"
                )
            return stored
        if stored.quant is None:
            return stored
        if stored.index not in self._real:
            real = self.file.tensor(f"{stored.name}/float32", stored.dims, "float32", None, stored.free)
            self.file.operator("DEQUANTIZE", [stored], real)
            self._real[stored.index] = real
        return self._real[stored.index]

    def params(self, name: str) -> QParams:
        """The entry of a value in the scale table.

        Raises:
            MalformedGraph: there is none.
        """
        assert self.table is not None
        if name not in self.table:
            raise graphs.MalformedGraph(f"the scale table has no entry for {name!r}")
        return self.table[name]

    def _half(self, name: str, array: Array) -> Tensor:
        """A constant stored as float16, with a DEQUANTIZE that runtimes evaluate once at load time."""
        stored = self.file.constant(name, array.astype(np.float16))
        if stored.index not in self._full:
            full = self.file.tensor(f"{name}/float32", array.shape, "float32", None, ())
            self.file.operator("DEQUANTIZE", [stored], full)
            self._full[stored.index] = full
        return self._full[stored.index]


def _freed(graph: Graph) -> tuple[TensorSpec, ...]:
    """The inputs, with their sides in proportion to the picture's."""
    own = shapes.size_of(graph.input)
    return shapes.freed(graph.inputs, own) if own is not None else graph.inputs


def _layer(node: ir.Node) -> str:
    return node.name or graphs.name_of(node.outputs[0])
