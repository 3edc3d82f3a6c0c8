"""A clearport graph as a MIL program, and the Core ML model description that goes with it.

Conversions around the network, from outside in::

    tensor variant:  float32 (1, C, H, W) in the network's range -> [cast] -> network -> [cast] -> the same
    image variant:   RGB picture, 0..255 -> [cast] -> [to its range] -> network -> [back] -> [cast] -> RGB picture

With int8, the network's input and every tensor in the scale table are rounded to their int8 grids by a
quantize/dequantize pair, Core ML's form of int8 activations.

Dynamic sizes become a range of sizes. Core ML may then avoid the Neural Engine, which compiles for one size: for speed,
export the size that the app uses.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clearport.base import Graph, Precision, TensorSpec
from clearport.export.coreml.fp32_fallback import NOTHING, Fallback
from clearport.export.coreml.lowering import COMPUTE, Lowering, builder, refuse
from clearport.export.coreml.rules import ios_of, rule_for
from clearport.export.coreml.tools import load, quiet
from clearport.export.without_rule import require_rules
from clearport.graph import nodes as graphs
from clearport.graph.nodes import name_of, values
from clearport.graph.shapes import multiple
from clearport.operators import table
from clearport.operators.quantization import REQUANTIZE
from clearport.quantized import QParams, ScaleTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_ir as ir

Variant = Literal["tensor", "image"]

FIRST_IOS: dict[Precision, int] = {
    "fp32": 15,  # the first with ML programs
    "fp16": 15,
    "int8-weights": 16,  # constexpr_affine_dequantize
    "int8": 17,  # quantize and dequantize
}
"""The minimum iOS of a precision; an operator may need a later one (``record.Rule.since``)."""

_LAYOUTS = {"RGB": "RGB", "Y": "GRAYSCALE"}
"""Picture color -> Core ML's name for it."""

MOST_AXES = 5
"""Of any value of a program."""

SMALLEST, LARGEST, USUAL = 1, 4096, 256
"""Bounds and default, in pixels, of a free height or width."""


@dataclass(frozen=True)
class Plan:
    """What to lower, and how. ``fallback`` applies to float16.

    ``table`` is set for int8 (activations, weights and biases) and int8-weights (weights only).
    """

    graph: Graph
    precision: Precision
    variant: Variant
    table: ScaleTable | None = None
    fallback: Fallback = NOTHING

    @property
    def ios(self) -> int:
        """The minimum iOS that supports every operator of the program."""
        return max([FIRST_IOS[self.precision], *map(ios_of, self.nodes())])

    @property
    def possible(self) -> bool:
        """Whether the image variant differs from the tensor variant."""
        return self.variant == "tensor" or any(map(self.as_picture, (*self.graph.inputs, *self.graph.outputs)))

    def as_picture(self, spec: TensorSpec) -> bool:
        """Whether a tensor is a Core ML image: RGB or gray, 8 bits."""
        return self.variant == "image" and spec.is_picture and spec.color in _LAYOUTS

    def inner(self, output: str) -> str:
        """The internal name of an output; the quantizer may have given the plain name to another tensor."""
        taken = {f"{value.name}".replace(".", "_") for value in values(self.graph)}
        return next(name for name in (f"{output}_inner", f"{output}_last") if name not in taken)

    def io_type(self, spec: TensorSpec) -> type[np.generic]:
        """The program's data type of an input or output: float16 pictures need iOS 16, and save two casts."""
        if spec.kind == "index":
            return np.int32
        direct = self.as_picture(spec) and self.ios >= 16
        return COMPUTE[self.precision] if direct else np.float32

    def nodes(self) -> list[ir.Node]:
        """Every node that emits an operation, in order."""
        return list(graphs.computed(self.graph.model.graph))


@contextmanager
def converted(plan: Plan) -> Iterator[Any]:
    """The ``coremltools`` model of ``plan``. Its weights are in a temporary file, which is removed at the end of the
    block.

    Raises:
        UnsupportedOperator: an operator has no conversion rule, or attributes that Core ML does not support.
    """
    require_rules("coreml", plan.nodes(), lambda node: table.of(node).mil is not None)
    with tempfile.TemporaryDirectory() as aside:
        yield _converted(plan, Path(aside, "model.mlpackage"))


def _converted(plan: Plan, package: Path) -> Any:
    ct = load()
    target = getattr(ct.target, f"iOS{plan.ios}")
    free = _Free(ct)
    sources = [(spec, ct.Shape([free.dimension(n) for n in spec.shape])) for spec in plan.graph.inputs]
    with quiet():
        program = _program(plan, sources, target)
        if any(map(plan.as_picture, plan.graph.outputs)):
            # With a MIL program, convert() ignores outputs=[ImageType]: the program itself must say it.
            program.functions["main"].set_output_types([_type(ct, plan, spec) for spec in plan.graph.outputs])
        return ct.convert(
            program,
            convert_to="mlprogram",
            inputs=[_type(ct, plan, spec, shape=shape) for spec, shape in sources],
            minimum_deployment_target=target,
            # The program is stored as written; coremltools' graph passes would change its rounding.
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
            package_dir=str(package),  # without it, a package stays until the process exits, or forever
        )


def _type(ct: Any, plan: Plan, spec: TensorSpec, **shape: Any) -> Any:
    """coremltools' type of an input or output."""
    if plan.as_picture(spec):
        return ct.ImageType(name=spec.name, color_layout=getattr(ct.colorlayout, _LAYOUTS[spec.color]), **shape)
    integers = {"dtype": np.int32} if spec.kind == "index" else {}
    return ct.TensorType(name=spec.name, **integers, **shape)


class _Free:
    """Symbol -> range of a dynamic side; sides with the same symbol share one range."""

    def __init__(self, ct: Any) -> None:
        self._ct = ct
        self._known: dict[str, Any] = {}

    def dimension(self, n: int | str) -> Any:
        """A side as coremltools has it."""
        if isinstance(n, int):
            return n
        if n not in self._known:
            times, _ = multiple(n) or (1, "")
            ends = (max(1, int(side * times)) for side in (SMALLEST, LARGEST, USUAL))
            self._known[n] = self._ct.RangeDim(*ends)
        return self._known[n]


def _program(plan: Plan, sources: Sequence[tuple[TensorSpec, Any]], target: Any) -> Any:
    from coremltools.converters.mil.mil import Function, Program

    mb = builder()
    placeholders = {
        spec.name: mb.placeholder(tuple(shape.symbolic_shape), dtype=_mil_type(plan.io_type(spec)), name=spec.name)
        for spec, shape in sources
    }
    program = Program()
    with Function(placeholders, opset_version=target) as function:
        low = Lowering(plan.precision, plan.table, fallback=plan.fallback.names)
        for value, spec in zip(plan.graph.model.graph.inputs, plan.graph.inputs, strict=True):
            low.values[spec.name] = _enter(low, plan, spec, value, function.inputs[spec.name])
        for node in plan.nodes():
            _lower_node(low, plan, node)
        function.set_outputs([_leave(low, plan, spec) for spec in plan.graph.outputs])
        program.add_function("main", function)
    return program


def _mil_type(numpy_type: type[np.generic]) -> Any:
    from coremltools.converters.mil.mil import types

    return types.numpy_type_to_builtin_type(numpy_type)


def _lower_node(low: Lowering, plan: Plan, node: ir.Node) -> None:
    """Write ``node`` and round its result to its grid, where it has one.

    The network's output is not rounded after a quantization-agnostic operator: it lies on its grid already.
    """
    output = node.outputs[0]
    name, params = name_of(output), low.quant(node)
    # The plain name of the graph's output belongs to the program's output.
    final = plan.inner(name) if output.is_graph_output() else name
    low.begin(node)
    if node.op_type == REQUANTIZE.name and params is not None:
        low.values[name] = low.requantize(low.var(node, 0), final, params)
    elif params is None or (_only_moves(node) and output.is_graph_output() and _same_grid(node, params, plan)):
        low.values[name] = _write(low, node, final)
    else:
        low.values[name] = low.requantize(_write(low, node, f"{name}_float"), final, params)


def _only_moves(node: ir.Node) -> bool:
    """Whether every output element is an input element or zero, which lies on every grid."""
    constants = (array for value in node.inputs if (array := graphs.constant(value)) is not None)
    return table.of(node).moves_data and not any(array.dtype.kind == "f" and array.any() for array in constants)


def _write(low: Lowering, node: ir.Node, name: str) -> Any:
    result = rule_for(node)(low, node, name)
    if result.rank > MOST_AXES:
        raise refuse(node, f"its output has rank {result.rank}; Core ML supports up to {MOST_AXES}")
    return result


def _same_grid(node: ir.Node, params: QParams, plan: Plan) -> bool:
    source = node.inputs[0]
    return plan.table is not None and source is not None and plan.table.entries.get(name_of(source)) == params


def _enter(low: Lowering, plan: Plan, spec: TensorSpec, value: ir.Value, x: Any) -> Any:
    """Convert a program input for the first operators: float32 if one of its consumers computes in float32."""
    low.begin(next((node for node in value.consumers() if name_of(node.outputs[0]) in low.fallback), None))
    if spec.kind == "index":
        return x
    if plan.io_type(spec) is not low.compute:
        x = low.mb.cast(x=x, dtype=_dtype_word(low.compute), name=f"{spec.name}_cast")
    if plan.as_picture(spec):
        x = _affine(low, x, spec.pixel_step, spec.span[0], f"{spec.name}_in_range")
    if plan.table is not None and spec.name in plan.table:
        x = low.requantize(x, f"{spec.name}_on_grid", plan.table[spec.name])
    return x


def _leave(low: Lowering, plan: Plan, spec: TensorSpec) -> Any:
    """Convert the last operator's output to the program's output: float32 is kept, except for pictures."""
    last = next((node for node in plan.nodes() if name_of(node.outputs[0]) == spec.name), None)
    low.begin(None if plan.as_picture(spec) else last)
    y = low.cast(spec.name)
    if spec.kind == "index":
        return low.mb.cast(x=y, dtype="int32", name=spec.name)
    if plan.as_picture(spec):
        step, black = spec.pixel_step, spec.span[0]
        y = _affine(low, y, 1.0 / step, -black / step, f"{spec.name}_in_pixels")
    if plan.io_type(spec) is not low.compute:
        return low.mb.cast(x=y, dtype=_dtype_word(plan.io_type(spec)), name=spec.name)
    y.set_name(spec.name)
    return y


def _affine(low: Lowering, x: Any, scale: float, offset: float, name: str) -> Any:
    """``x * scale + offset``, without a scale of 1 or an offset of 0."""
    if scale != 1.0:
        x = low.mb.mul(x=x, y=low.compute(scale), name=f"{name}_scaled" if offset else name)
    return low.mb.add(x=x, y=low.compute(offset), name=name) if offset else x


def _dtype_word(numpy_type: type[np.generic]) -> str:
    return "fp16" if numpy_type is np.float16 else "fp32"
