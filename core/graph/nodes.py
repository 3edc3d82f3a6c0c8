"""Small helpers over onnx_ir that every layer shares: reading nodes, constants, checking, serializing.

A ``Graph`` is immutable by convention; ``clone`` makes the copy that a pass may edit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, cast

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx
    import onnx_ir as ir

    from clearport.base import Array, Graph

OPSET = 20
"""The ONNX opset of every graph."""

IR_VERSION = 9
"""The lowest ONNX IR version that supports ``OPSET`` (onnx/docs/Versioning.md): older runtimes read it too."""


class MalformedGraph(ValueError):
    """A graph that violates ONNX's or clearport's rules: a bug in a pass, not an error of the user."""


@dataclass(frozen=True)
class Activation:
    """A clamp after an operator: the real value is clipped to ``lo``..``hi`` (``hi`` may be infinite)."""

    kind: Literal["relu", "clip"]
    lo: float
    hi: float


def clone(graph: Graph) -> Graph:
    """A copy whose model may be edited; the tensors of constants are shared, since they are never written to."""
    return replace(graph, model=graph.model.clone())


def constant(value: ir.Value | None) -> Array | None:
    """The array of an initializer or of a Constant node's output; None for computed values."""
    import onnx_ir as ir

    if value is None:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The value of a constant with one element; None otherwise."""
    array = constant(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """Input ``index`` of ``node``, or None if it is omitted."""
    return node.inputs[index] if index < len(node.inputs) else None


def need(node: ir.Node, index: int) -> ir.Value:
    """Input ``index`` of ``node``, which must be there."""
    value = operand(node, index)
    if value is None:
        raise MalformedGraph(f"{node.op_type} {node.name!r} lacks its input {index}")
    return value


def need_constant(node: ir.Node, index: int) -> Array:
    """The array of input ``index`` of ``node``, which must be a constant."""
    array = constant(need(node, index))
    if array is None:
        raise MalformedGraph(f"input {index} of {node.op_type} {node.name!r} is not a constant")
    return array


def name_of(value: ir.Value) -> str:
    """The name of a value, which must have one."""
    if not value.name:
        raise MalformedGraph("a value without a name")
    return value.name


def producer(value: ir.Value) -> ir.Node | None:
    """The producer of ``value``; None for inputs and initializers."""
    return value.producer()


def consumers(value: ir.Value) -> tuple[ir.Node, ...]:
    """The consumers of ``value``, each once."""
    return tuple(value.consumers())


def only_consumer(value: ir.Value) -> ir.Node | None:
    """The only consumer of ``value``; None if there are several uses or it is a graph output."""
    uses = tuple(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def attr_int(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or ``default`` if it is not set."""
    found = node.attributes.get(name)
    return default if found is None else found.as_int()


def attr_float(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or ``default`` if it is not set."""
    found = node.attributes.get(name)
    return default if found is None else found.as_float()


def attr_str(node: ir.Node, name: str, default: str) -> str:
    """A string attribute, or ``default`` if it is not set."""
    found = node.attributes.get(name)
    return default if found is None else found.as_string()


def attr_ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """A list of integers, or ``default`` if it is not set."""
    found = node.attributes.get(name)
    return default if found is None else tuple(found.as_ints())


def clamp_of(node: ir.Node) -> Activation | None:
    """The bounds of a Relu or a Clip with constant bounds; None for every other node."""
    if node.op_type == "Relu":
        return Activation("relu", 0.0, math.inf)
    if node.op_type != "Clip":
        return None
    bounds = []
    for index, default in ((1, -math.inf), (2, math.inf)):
        given = operand(node, index)
        bound = default if given is None else scalar(given)
        if bound is None:
            return None
        bounds.append(bound)
    return Activation("clip", bounds[0], bounds[1])


def fused_activation(node: ir.Node) -> Activation | None:
    """The Relu or Clip that is the only consumer of ``node``'s output, so that a kernel can fuse both."""
    follower = only_consumer(node.outputs[0])
    return None if follower is None else clamp_of(follower)


def activations(graph: Graph) -> dict[str, Activation]:
    """Output name of an operator -> the clamp that is its only consumer."""
    found = ((node, fused_activation(node)) for node in graph.model.graph)
    return {name_of(node.outputs[0]): clamp for node, clamp in found if clamp is not None}


def new_constant(graph: ir.Graph, name: str, array: npt.ArrayLike) -> ir.Value:
    """Register ``array`` as an initializer under ``name``, made unique with a number if it is taken."""
    import numpy as np
    import onnx_ir as ir

    unique, number = name, 1
    while unique in graph.initializers:
        unique, number = f"{name}.{number}", number + 1
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(np.shape(array)), name=unique)
    value = ir.Value(
        name=unique, shape=ir.Shape(tensor.numpy().shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def channels(value: ir.Value) -> int:
    """The size of axis 1 (C of NCHW)."""
    size = value.shape[1] if value.shape is not None and len(value.shape) > 1 else None
    if not isinstance(size, int):
        raise MalformedGraph(f"the number of channels of {value.name!r} is unknown")
    return size


def computed(body: ir.Graph) -> Iterator[ir.Node]:
    """Every node except constants, in order."""
    return (node for node in body if node.op_type != "Constant")


def values(graph: Graph) -> Iterator[ir.Value]:
    """The input, then the outputs of every node, in order."""
    yield from graph.model.graph.inputs
    for node in graph.model.graph:
        yield from node.outputs


def check(graph: Graph) -> Graph:
    """The same graph with inferred shapes, after validation by the ONNX checker and clearport's own rules.

    Raises:
        MalformedGraph: the checker rejects it, a value's rank is unknown, or its inputs and outputs do not match the
            contract in number.
    """
    import onnx

    checked = clone(graph)
    try:
        _infer_shapes(checked.model)
        onnx.checker.check_model(to_proto(checked.model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise MalformedGraph(str(error)) from error
    body = checked.model.graph
    have, wanted = (len(body.inputs), len(body.outputs)), (len(graph.inputs), len(graph.outputs))
    if have != wanted:
        raise MalformedGraph(
            f"{have[0]} inputs and {have[1]} outputs, and the contract has {wanted[0]} and {wanted[1]}"
        )
    for value in values(checked):
        if value.shape is None:
            raise MalformedGraph(f"the rank of {value.name!r} is unknown")
    return checked


def _infer_shapes(model: ir.Model) -> None:
    """Infer shapes in place; onnx_ir only logs contradictions, with a traceback."""
    from onnx_ir.passes import common

    logger, caught = logging.getLogger(common.ShapeInferencePass.__module__), _Errors()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(caught)
    try:
        common.ShapeInferencePass()(model)
    finally:
        logger.removeHandler(caught)
        logger.propagate = propagate
    for error in caught.seen:
        raise MalformedGraph(str(error))


class _Errors(logging.Handler):
    """Collects logged exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.seen.append(record.exc_info[1])


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """The protobuf message of a model."""
    import onnx_ir as ir

    return ir.to_proto(model)


def to_bytes(model: ir.Model) -> bytes:
    """The file of a model; the same model gives the same bytes."""
    return cast("bytes", to_proto(model).SerializeToString(deterministic=True))


def session(model: ir.Model, as_written: bool = False) -> Session:
    """A quiet single-threaded ONNX Runtime CPU session of a model in memory; ``sessions_by`` may redirect it.

    It computes the model exactly: by default, ONNX Runtime (1.31) rounds float weights between quantized activations to
    8 bits with one scale per tensor, which costs 12 dB. Its memory arena, which never shrinks and grows by doubling, is
    off: a deep network at 360x640 needs 0.26 GB instead of 0.65. ``as_written`` disables all optimizations, some of
    which change rounding or remove casts there and back.
    """
    return _OPENER.get()(to_bytes(model), as_written)


class Session(Protocol):
    """The part of ``onnxruntime.InferenceSession`` that clearport uses."""

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """The named outputs, or all of them, in order."""
        ...


@contextmanager
def sessions_by(opener: Callable[[bytes, bool], Session]) -> Iterator[None]:
    """Within the block, ``session`` returns the result of ``opener(ONNX file, as_written)``, for example from another
    process.
    """
    token = _OPENER.set(opener)
    try:
        yield
    finally:
        _OPENER.reset(token)


def session_here(model: bytes, as_written: bool) -> Session:
    """``session`` of an ONNX file, in this process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4 if as_written else 3
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.add_session_config_entry("session.x64quantprecision", "1")  # sums of int8 products that do not overflow
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    opened: Session = onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["WeightBiasQuantization"],
    )
    return opened


_OPENER: ContextVar[Callable[[bytes, bool], Session]] = ContextVar("opener", default=session_here)
