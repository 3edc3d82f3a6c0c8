"""Unroll recurrent layers, for targets without them.

Given: LSTM, GRU or RNN over a sequence of known length, in either or both directions, with or without initial states
(in ONNX Runtime's layout, sequence first). Result: one product for all inputs, and the unrolled steps as products,
sums, sigmoids and hyperbolic tangents of ``[1, batch, hidden]``. Rare features of ONNX (peepholes, clips, sequence
lengths, other activations) stay, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from clearport.export.passes.plain.functions import called
from clearport.export.passes.rewriting import body_of, constant, fixed, insert, reshaped, substitute
from clearport.graph import nodes as graphs

if TYPE_CHECKING:
    from clearport.base import Array, Graph

MOST_STEPS = 256
"""Maximum sequence length: longer ones would give tens of thousands of operators."""
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_GATES = {("LSTM", 0): [(0, 4)], ("GRU", 0): [(0, 2), (2, 1)], ("GRU", 1): [(0, 3)], ("RNN", 0): [(0, 1)]}
"""Operator, and whether the state is multiplied before the reset -> groups of gates computed from one state at once."""
_X, _W, _R, _B, _LENGTHS, _H, _C, _P = range(8)


def run(graph: Graph) -> Graph:
    """Given and result: see the module; the unchanged graph if there is nothing to unroll."""
    if all(refusal(node) != "" for node in graph.model.graph):
        return graph
    result = graphs.clone(graph)
    for node in tuple(result.model.graph):
        if refusal(node) == "":
            _unroll(node)
    return graphs.check(result)


def refusal(node: ir.Node) -> str | None:
    """Why a recurrent layer cannot be unrolled; empty if it can, None for other operators."""
    if node.op_type not in _USUAL or node.domain not in {"", "ai.onnx"}:
        return None
    return next(_obstacles(node), "")


def _obstacles(node: ir.Node) -> Iterator[str]:
    shape, usual = fixed(graphs.need(node, _X)), _USUAL[node.op_type]
    if shape is None or len(shape) != 3:
        yield "a recurrent layer is unrolled for the length of its sequence: give --size HEIGHTxWIDTH"
        return
    steps = shape[0]
    if graphs.attr_int(node, "layout", 0):
        yield "a recurrent layer with the batch axis first, which ONNX Runtime does not support either"
    if steps > MOST_STEPS:
        yield f"a recurrent layer over {steps} steps; up to {MOST_STEPS} are unrolled"
    given = node.attributes.get("activations")
    told = [] if given is None else [word.lower() for word in given.as_strings()]
    both = graphs.attr_str(node, "direction", "forward") == "bidirectional"
    if told and told != [word.lower() for word in usual] * (1 + both):
        yield f"activations {' '.join(told)}; expected {' '.join(usual)}"
    if "clip" in node.attributes or graphs.attr_int(node, "input_forget", 0):
        yield "clips and coupled gates of recurrent layers"
    if node.op_type == "LSTM" and graphs.operand(node, _P) is not None:
        yield "peepholes"
    lengths = graphs.operand(node, _LENGTHS)
    if lengths is not None and not _all_equal(graphs.constant(lengths), steps):
        yield "sequences of lengths of their own"
    if any(graphs.constant(graphs.need(node, index)) is None for index in (_W, _R)):
        yield "computed weights of a recurrent layer"


def _all_equal(array: Array | None, steps: int) -> bool:
    return array is not None and bool(np.all(array == steps))


@dataclass(frozen=True)
class _Layer:
    """One direction of a recurrent layer.

    Attributes:
        node: the layer.
        gates: its sequence times its weights, (1, T * B, gates * H).
        weights: (first gate, number of gates) -> recurrent weights for them, (H, number * H).
        bias: recurrent bias of all gates.
        batch, hidden: B and H.
    """

    node: ir.Node
    gates: ir.Value
    weights: Mapping[tuple[int, int], ir.Value]
    bias: Array
    batch: int
    hidden: int

    def at(self, step: int) -> ir.Value:
        """The input's contribution to the gates at a step: (1, B, gates * H)."""
        return _part(self.node, self.gates, 1, step * self.batch, self.batch)

    def gate(self, value: ir.Value, first: int, count: int = 1) -> ir.Value:
        """Some gates of (1, B, gates * H)."""
        return _part(self.node, value, 2, first * self.hidden, count * self.hidden)


State = tuple["ir.Value | None", "ir.Value | None"]
"""Hidden and cell state, (1, B, H) each; None if zero."""


def _unroll(node: ir.Node) -> None:
    if not node.outputs[0].name:  # the sequence output is unused
        node.outputs[0].name = f"{next(graphs.name_of(value) for value in node.outputs if value.name)}.sequence"
    source = graphs.need(node, _X)
    steps, batch, length = fixed(source) or (0, 0, 0)
    line = reshaped(node, source, (1, steps * batch, length))
    direction = graphs.attr_str(node, "direction", "forward")
    ways = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    found = [_direction(node, line, way, index, (steps, batch)) for index, way in enumerate(ways)]
    hidden = graphs.need_constant(node, _R).shape[2]
    made: list[ir.Value | None] = [None] * 3
    if _read(node, 0):
        each = [reshaped(node, _joined(node, outputs, 1), (steps, 1, batch, hidden)) for outputs, _ in found]
        made[0] = _joined(node, each, 1)
    for place in (1, 2):
        if _read(node, place):
            made[place] = _joined(node, [_known(node, states[place - 1], batch, hidden) for _, states in found], 0)
    for place, value in enumerate(made):
        if value is not None:
            substitute(node, value, place)


def _read(node: ir.Node, place: int) -> bool:
    return len(node.outputs) > place and (bool(node.outputs[place].uses()) or node.outputs[place].is_graph_output())


def _direction(
    node: ir.Node, line: ir.Value, backwards: bool, index: int, size: tuple[int, int]
) -> tuple[list[ir.Value], State]:
    """The output of each step, in sequence order, and the final states."""
    steps, batch = size
    weight, recurrent = (graphs.need_constant(node, place)[index].astype(np.float32) for place in (_W, _R))
    hidden, rows = recurrent.shape[1], weight.shape[0]
    given = graphs.constant(graphs.operand(node, _B))
    bias = np.zeros(2 * rows, np.float32) if given is None else given[index].astype(np.float32)
    beside, inside = bias[:rows], bias[rows:]
    if node.op_type == "GRU":  # the last gate's recurrent bias is inside the reset
        beside = beside + np.concatenate([inside[: 2 * hidden], np.zeros(hidden, np.float32)])
    else:
        beside = beside + inside
    product = insert(node, "MatMul", [line, constant(node, f"weights{index}", weight.T)], (1, steps * batch, rows))
    gates = insert(node, "Add", [product, constant(node, f"bias{index}", beside)], (1, steps * batch, rows))
    turned = recurrent.T
    weights = {
        (first, count): constant(node, f"states{index}_{first}", turned[:, first * hidden : (first + count) * hidden])
        for first, count in _GATES[node.op_type, graphs.attr_int(node, "linear_before_reset", 0)]
    }
    layer = _Layer(node, gates, weights, inside, batch, hidden)
    state: State = (_first(node, _H, index), _first(node, _C, index) if node.op_type == "LSTM" else None)
    outputs: dict[int, ir.Value] = {}
    for step in reversed(range(steps)) if backwards else range(steps):
        state = _STEPS[node.op_type](layer, layer.at(step), *state)
        assert state[0] is not None
        outputs[step] = state[0]
    return [outputs[step] for step in range(steps)], state


def _first(node: ir.Node, place: int, index: int) -> ir.Value | None:
    """An initial state (1, B, H), or None if zero."""
    value = graphs.operand(node, place)
    if value is None:
        return None
    held = graphs.constant(value)
    if held is not None:
        part = held[index : index + 1].astype(np.float32)
        return constant(node, f"first{place}_{index}", part) if part.any() else None
    return _part(node, value, 0, index, 1)


def _lstm(layer: _Layer, gates: ir.Value, hidden: ir.Value | None, cell: ir.Value | None) -> State:
    """Gates: input, output, forget, cell."""
    node = layer.node
    given = _with_state(layer, gates, hidden, 0, 4)
    opened = called(node, "Sigmoid", layer.gate(given, 0, 3))
    new = called(node, "Mul", layer.gate(opened, 0), called(node, "Tanh", layer.gate(given, 3)))
    if cell is not None:
        new = called(node, "Add", called(node, "Mul", layer.gate(opened, 2), cell), new)
    return called(node, "Mul", layer.gate(opened, 1), called(node, "Tanh", new)), new


def _gru(layer: _Layer, gates: ir.Value, hidden: ir.Value | None, _: ir.Value | None) -> State:
    """Gates: update, reset, hidden."""
    node, bias = layer.node, layer.bias[2 * layer.hidden :]
    own, inside = layer.gate(gates, 2), constant(node, "inside", bias)
    after = graphs.attr_int(node, "linear_before_reset", 0)
    shared = None if hidden is None else _times(layer, hidden, 0, 3 if after else 2)
    both = layer.gate(gates, 0, 2)
    if shared is not None:
        both = called(node, "Add", both, layer.gate(shared, 0, 2) if after else shared)
    opened = called(node, "Sigmoid", both)
    update, reset = layer.gate(opened, 0), layer.gate(opened, 1)
    if after:
        held = inside if shared is None else called(node, "Add", layer.gate(shared, 2), inside)
        own = called(node, "Add", own, called(node, "Mul", reset, held)) if bias.any() or shared is not None else own
    else:
        if hidden is not None:
            own = called(node, "Add", own, _times(layer, called(node, "Mul", reset, hidden), 2, 1))
        own = called(node, "Add", own, inside) if bias.any() else own
    new = called(node, "Tanh", own)
    if hidden is None:
        return called(node, "Sub", new, called(node, "Mul", update, new)), None
    return called(node, "Add", new, called(node, "Mul", update, called(node, "Sub", hidden, new))), None


def _rnn(layer: _Layer, gates: ir.Value, hidden: ir.Value | None, _: ir.Value | None) -> State:
    return called(layer.node, "Tanh", _with_state(layer, gates, hidden, 0, 1)), None


_STEPS: dict[str, Callable[[_Layer, ir.Value, ir.Value | None, ir.Value | None], State]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN": _rnn,
}


def _with_state(layer: _Layer, gates: ir.Value, hidden: ir.Value | None, first: int, count: int) -> ir.Value:
    return gates if hidden is None else called(layer.node, "Add", gates, _times(layer, hidden, first, count))


def _times(layer: _Layer, state: ir.Value, first: int, count: int) -> ir.Value:
    """A state (1, B, H) times the weights of some gates: (1, B, count * H)."""
    weight = layer.weights[first, count]
    return insert(layer.node, "MatMul", [state, weight], (1, layer.batch, count * layer.hidden))


def _part(node: ir.Node, value: ir.Value, axis: int, start: int, count: int) -> ir.Value:
    shape = list(fixed(value) or ())
    if shape[axis] == count:
        return value
    shape[axis] = count
    return insert(node, "Slice", [value, *(_number(node, n) for n in (start, start + count, axis))], shape)


def _number(node: ir.Node, number: int) -> ir.Value:
    """A 1-element integer constant, shared by all steps."""
    held = body_of(node).initializers.get(f"{graphs.name_of(node.outputs[0])}.{number}")
    return held if held is not None else constant(node, str(number), [number])


def _joined(node: ir.Node, values: Sequence[ir.Value], axis: int) -> ir.Value:
    if len(values) == 1:
        return values[0]
    shape = list(fixed(values[0]) or ())
    shape[axis] = sum((fixed(value) or ())[axis] for value in values)
    return insert(node, "Concat", list(values), shape, {"axis": axis})


def _known(node: ir.Node, value: ir.Value | None, batch: int, hidden: int) -> ir.Value:
    return constant(node, "zero", np.zeros((1, batch, hidden))) if value is None else value
