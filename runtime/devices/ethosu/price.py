"""Modeled time of operators that an NPU's compiler leaves to the CPU, which Vela counts as 0.

A model, not a measurement, meant to be right within an order of magnitude: an operator's time is the larger of

- its traffic: every byte of its inputs and outputs once, at the bandwidth of the arena's memory;
- its arithmetic: ``Host.cycles_per_value`` per output value, ``1 / Host.macs_per_cycle`` per int8 multiply-add, and
  four times that per float one (a vector register holds a quarter as many).

Switching between accelerator and CPU is not counted.
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
    """Traffic and arithmetic of an operator."""

    values: int
    macs: int
    traffic_bytes: int
    floating: bool


def work(graph: FlatGraph, op: Any) -> Work:
    """The work of an operator with static shapes."""
    tensors = [int(t) for t in (*op.inputs, *op.outputs) if t >= 0]
    result = int(op.outputs[0])
    return Work(
        math.prod(graph.dims(result)),
        _macs(graph, op),
        sum(math.prod(graph.dims(t)) * _BYTES.get(graph.dtype(t), 1) for t in tensors),
        any(graph.dtype(t).startswith("float") for t in tensors),
    )


def price_ms(found: Work, host: Host, bandwidth: float) -> float:
    """Milliseconds of work on a host with ``bandwidth`` bytes per second to the arena."""
    macs = found.macs * (_FLOAT_MAC if found.floating else 1)
    cycles = found.values * host.cycles_per_value + macs / host.macs_per_cycle
    return max(found.traffic_bytes / bandwidth, cycles / host.clock_hz) * 1e3


def _macs(graph: FlatGraph, op: Any) -> int:
    """Multiply-adds or equivalents: an addition in a pool, a weighted neighbor in a resize."""
    kind, options = graph.kind(op), op.builtinOptions
    result = math.prod(graph.dims(int(op.outputs[0])))
    if kind == "TRANSPOSE_CONV":  # each input value is multiplied with the whole kernel
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
