"""What the operators that an NPU's compiler leaves to the CPU may take there: Vela counts them as nothing.

A model, not a measurement, and meant to be of the right order: an operator takes as long as the slower of

- its traffic: every byte of its inputs and outputs once, at the bandwidth of the memory that holds the arena;
- its arithmetic: each output value costs ``Host.cycles_per_value``, each int8 multiply-add ``1 / Host.macs_per_cycle``,
  a float one four times that (a vector register holds a quarter as many).

Starting and leaving the accelerator for it is not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearport.runtime.devices.ethosu.chips import Host
    from clearport.runtime.devices.ethosu.graph import FlatGraph

_BYTES = {"float32": 4, "float16": 2, "int32": 4, "int64": 8, "int16": 2}
_FLOAT_MAC = 4


@dataclass(frozen=True)
class Work:
    """What an operator has to do."""

    values: int
    macs: int
    traffic_bytes: int
    floating: bool


def work(graph: FlatGraph, op: Any) -> Work:
    """The work of an operator with fixed sizes."""
    tensors = [int(t) for t in (*op.inputs, *op.outputs) if t >= 0]
    result = int(op.outputs[0])
    return Work(
        math.prod(graph.dims(result)),
        _macs(graph, op),
        sum(math.prod(graph.dims(t)) * _BYTES.get(graph.dtype(t), 1) for t in tensors),
        any(graph.dtype(t).startswith("float") for t in tensors),
    )


def price_ms(found: Work, host: Host, bandwidth: float) -> float:
    """Milliseconds of some work on a host whose arena is read and written at ``bandwidth`` bytes per second."""
    macs = found.macs * (_FLOAT_MAC if found.floating else 1)
    cycles = found.values * host.cycles_per_value + macs / host.macs_per_cycle
    return max(found.traffic_bytes / bandwidth, cycles / host.clock_hz) * 1e3


def _macs(graph: FlatGraph, op: Any) -> int:
    """Multiply-adds, or what takes as long: an addition in a pool, a weighted neighbor in a resize."""
    kind, options = graph.kind(op), op.builtinOptions
    result = math.prod(graph.dims(int(op.outputs[0])))
    if kind == "TRANSPOSE_CONV":  # each input value meets the whole kernel
        return math.prod(graph.dims(int(op.inputs[2]))[:3]) * math.prod(graph.dims(int(op.inputs[1])))
    each = 0
    if kind == "CONV_2D":
        each = math.prod(graph.dims(int(op.inputs[1]))[1:])
    elif kind == "DEPTHWISE_CONV_2D":
        each = math.prod(graph.dims(int(op.inputs[1]))[1:3])
    elif kind in {"AVERAGE_POOL_2D", "MAX_POOL_2D"}:
        each = int(options.filterHeight * options.filterWidth)
    elif kind == "RESIZE_BILINEAR":
        each = 4
    elif kind in {"FULLY_CONNECTED", "BATCH_MATMUL"}:
        each = graph.dims(int(op.inputs[0]))[-1]
    return result * each
