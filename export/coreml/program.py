"""A clearport graph as a MIL program, and the Core ML model description that goes with it.

What surrounds the network, from outside in::

    tensor variant:  float32 (1, 3, H, W) in the network's range -> [cast] -> network -> [cast] -> the same
    image variant:   RGB picture, 0..255 -> [cast] -> [to its range] -> network -> [back] -> [cast] -> RGB picture

With int8 the network's input and every result that the scale table has is rounded to its int8 grid by a
quantize/dequantize pair, Core ML's form of int8 activations.

Free sizes become a range of sizes. Core ML may then leave the Neural Engine, which compiles for one size: for speed
export the one size that the app uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clearport.base import Graph, Precision, QParams, ScaleTable, TensorSpec
from clearport.export.coreml.lowering import COMPUTE, Lowering, builder, refuse
from clearport.export.coreml.rules import ios_of, rule_for
from clearport.export.coreml.tools import load, quiet
from clearport.export.coreml.wide import NOTHING, Wide
from clearport.graph import nodes as graphs
from clearport.graph.nodes import name_of
from clearport.operators import table
from clearport.operators.quantization import REQUANTIZE

if TYPE_CHECKING:
    import onnx_ir as ir

Variant = Literal["tensor", "image"]

FIRST_IOS: dict[Precision, int] = {
    "fp32": 15,  # the first with ML programs
    "fp16": 15,
    "int8-weights": 16,  # constexpr_affine_dequantize
    "int8": 17,  # quantize and dequantize
}
"""The first iOS that has what a precision needs; an operator may need a later one (``record.Rule.since``)."""

MOST_AXES = 5
"""Of any value of a program."""

SMALLEST, LARGEST, USUAL = 1, 4096, 256
"""Bounds and default, in pixels, of a free height or width."""


@dataclass(frozen=True)
class Plan:
    """What is lowered, and how. ``wide`` matters in float16.

    ``table`` is given with int8 (activations, weights and biases) and with int8-weights (weights alone).
    """

    graph: Graph
    precision: Precision
    variant: Variant
    table: ScaleTable | None = None
    wide: Wide = NOTHING

    @property
    def ios(self) -> int:
        """The lowest iOS that takes every operator of the program."""
        return max([FIRST_IOS[self.precision], *map(ios_of, self.nodes())])

    @property
    def io_type(self) -> type[np.floating[Any]]:
        """The program's own input and output type: fp16 pictures need iOS 16, and spare two casts."""
        direct = self.variant == "image" and self.ios >= 16
        return COMPUTE[self.precision] if direct else np.float32

    def nodes(self) -> list[ir.Node]:
        """Every node that computes something, in order."""
        return list(graphs.computed(self.graph.model.graph))


def convert(plan: Plan) -> Any:
    """The ``coremltools`` model of ``plan``, in memory.

    Raises:
        UnsupportedOperator: an operator has no rule, or its settings are not ones that Core ML has.
    """
    ct = load()
    picture, target = plan.variant == "image", getattr(ct.target, f"iOS{plan.ios}")
    shape = ct.Shape([_dimension(ct, n) for n in plan.graph.input.shape])
    rgb = {"color_layout": ct.colorlayout.RGB}
    with quiet():
        program = _program(plan, shape, target)
        if picture:
            # With a MIL program, convert() ignores outputs=[ImageType]: the program itself must say it.
            program.functions["main"].set_output_types([ct.ImageType(name=plan.graph.output.name, **rgb)])
        kind = ct.ImageType if picture else ct.TensorType
        return ct.convert(
            program,
            convert_to="mlprogram",
            inputs=[kind(name=plan.graph.input.name, shape=shape, **(rgb if picture else {}))],
            minimum_deployment_target=target,
            # The program is written as it shall be stored; coremltools' rewrites would change its rounding.
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )


def _dimension(ct: Any, n: int | str) -> Any:
    return n if isinstance(n, int) else ct.RangeDim(SMALLEST, LARGEST, default=USUAL)


def _program(plan: Plan, shape: Any, target: Any) -> Any:
    from coremltools.converters.mil.mil import Function, Program

    mb, source = builder(), plan.graph.input.name
    placeholder = mb.placeholder(tuple(shape.symbolic_shape), dtype=_mil_type(plan.io_type), name=source)
    program = Program()
    with Function({source: placeholder}, opset_version=target) as function:
        low = Lowering(plan.precision, plan.table, wide=plan.wide.names)
        low.values[source] = _enter(low, plan, function.inputs[source])
        for node in plan.nodes():
            _lower_node(low, plan, node)
        function.set_outputs([_leave(low, plan)])
        program.add_function("main", function)
    return program


def _mil_type(numpy_type: type[np.floating[Any]]) -> Any:
    from coremltools.converters.mil.mil import types

    return types.numpy_type_to_builtin_type(numpy_type)


def _lower_node(low: Lowering, plan: Plan, node: ir.Node) -> None:
    """Write ``node`` and round its result to its grid, where it has one.

    The network's output is not rounded if it is moved data: it lies on its grid already.
    """
    output, moved = node.outputs[0], table.of(node).moves_data
    name, params = name_of(output), low.quant(node)
    inner = f"{name}_inner"  # the plain name of the graph's output belongs to the program's output
    final = inner if output.is_graph_output() else name
    low.begin(node)
    if node.op_type == REQUANTIZE.name and params is not None:
        low.values[name] = low.requantize(low.var(node, 0), final, params)
    elif params is None or (moved and output.is_graph_output() and _same_grid(node, params, plan)):
        low.values[name] = _write(low, node, final)
    else:
        low.values[name] = low.requantize(_write(low, node, f"{name}_float"), final, params)


def _write(low: Lowering, node: ir.Node, name: str) -> Any:
    result = rule_for(node)(low, node, name)
    if result.rank > MOST_AXES:
        raise refuse(node, f"its result has {result.rank} axes, and Core ML takes {MOST_AXES}")
    return result


def _same_grid(node: ir.Node, params: QParams, plan: Plan) -> bool:
    source = node.inputs[0]
    return plan.table is not None and source is not None and plan.table.entries.get(name_of(source)) == params


def _enter(low: Lowering, plan: Plan, x: Any) -> Any:
    """From what the program is given to what the first operator reads: float32 where one of its readers computes so."""
    spec = plan.graph.input
    readers = plan.graph.model.graph.inputs[0].consumers()
    low.begin(next((node for node in readers if name_of(node.outputs[0]) in low.wide), None))
    if plan.io_type is not low.compute:
        x = low.mb.cast(x=x, dtype=_dtype_word(low.compute), name=f"{spec.name}_cast")
    if plan.variant == "image":
        x = _affine(low, x, spec.pixel_step, spec.span[0], f"{spec.name}_in_range")
    if plan.table is not None and spec.name in plan.table:
        x = low.requantize(x, f"{spec.name}_on_grid", plan.table[spec.name])
    return x


def _leave(low: Lowering, plan: Plan) -> Any:
    """From what the last operator writes to what the program gives."""
    spec: TensorSpec = plan.graph.output
    low.begin(None)
    y = low.cast(spec.name)
    if plan.variant == "image":
        step, black = spec.pixel_step, spec.span[0]
        y = _affine(low, y, 1.0 / step, -black / step, f"{spec.name}_in_pixels")
    if plan.io_type is not low.compute:
        return low.mb.cast(x=y, dtype=_dtype_word(plan.io_type), name=spec.name)
    y.set_name(spec.name)
    return y


def _affine(low: Lowering, x: Any, scale: float, offset: float, name: str) -> Any:
    """``x * scale + offset``, without the halves that do nothing."""
    if scale != 1.0:
        x = low.mb.mul(x=x, y=low.compute(scale), name=f"{name}_scaled" if offset else name)
    return low.mb.add(x=x, y=low.compute(offset), name=name) if offset else x


def _dtype_word(numpy_type: type[np.floating[Any]]) -> str:
    return "fp16" if numpy_type is np.float16 else "fp32"
