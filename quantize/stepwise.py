"""A network that is run in steps: each goes on from where the last one stopped, on every photo.

What a layer's rounding does is seen by the layers behind it, so that they are rounded after it. Run from its beginning
for each layer, a network would cost as many runs as it has layers; in steps it costs one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from clearport import graphs
from clearport.quantize import lanes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from clearport.base import Array


class Stepwise:
    """A model, and for each photo the values that its next operators need.

    Args:
        model: float32 image to picture, one input.
        inputs: the photos, float32 (1, 3, H, W).
    """

    def __init__(self, model: ir.Model, inputs: Sequence[Array]) -> None:
        self._model = model.clone()
        source = graphs.name_of(self._model.graph.inputs[0])
        self._held: list[dict[str, Array]] = [{source: image} for image in inputs]
        self._left = {graphs.name_of(n.outputs[0]): n for n in self._model.graph if n.op_type != "Constant"}

    def change(self, arrays: Mapping[str, Array]) -> None:
        """Other numbers (float32, shapes kept) for initializers that are read from now on."""
        for name, array in arrays.items():
            value = self._model.graph.initializers.get(name)
            if value is not None:
                value.const_value = ir.tensor(np.ascontiguousarray(array, np.float32).reshape(np.shape(array)))

    def advance(self, names: Collection[str]) -> list[dict[str, Array]]:
        """Run what the named values need and has not run yet; the values of each photo."""
        step = self._ancestors(names)
        reached = [name for name, node in self._left.items() if id(node) in step]
        for name in reached:
            del self._left[name]
        needed = {graphs.name_of(v) for node in self._left.values() for v in node.inputs if v is not None}
        made = [v for node in step.values() for v in node.outputs if v.name in names or v.name in needed]
        if made:
            self._run(step.values(), made)
        found = [{name: held[name] for name in names} for held in self._held]
        self._held = [{name: array for name, array in held.items() if name in needed} for held in self._held]
        return found

    def _ancestors(self, names: Collection[str]) -> dict[int, ir.Node]:
        """The nodes that have not run yet and lead to the named values, in order."""
        wanted, found = set(names), []
        for node in reversed(list(self._left.values())):
            if any(value.name in wanted for value in node.outputs):
                wanted |= {graphs.name_of(v) for v in node.inputs if v is not None}
                found.append(node)
        return {id(node): node for node in reversed(found)}

    def _run(self, step: Iterable[ir.Node], made: Sequence[ir.Value]) -> None:
        read = [v for node in step for v in node.inputs if v is not None and v.name in self._held[0]]
        given = list({graphs.name_of(value): value for value in read}.values())
        part = ir.convenience.extract(self._model.graph, given, list(made))
        session: Any = graphs.session(ir.Model(part, ir_version=self._model.ir_version))
        outputs = [graphs.name_of(value) for value in made]

        def run(held: dict[str, Array]) -> list[Array]:
            return list(session.run(outputs, {graphs.name_of(value): held[graphs.name_of(value)] for value in given}))

        for held, arrays in zip(self._held, lanes.over(run, self._held), strict=True):
            held.update(zip(outputs, arrays, strict=True))
