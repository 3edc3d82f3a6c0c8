"""A network that is run in steps: each goes on from where the last one stopped, on every photo.

What a layer's rounding does is seen by the layers behind it, so that they are rounded after it. Run from its beginning
for each layer, a network would cost as many runs as it has layers; in steps it costs one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import onnx_ir as ir

from clearport.graph import nodes as graphs
from clearport.quantize.calibration import parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from clearport.base import Array
    from clearport.graph.feeds import Feed

R = TypeVar("R")


class Stepwise:
    """A model, and for each photo the values that its next operators need.

    Args:
        model: float32 model.
        inputs: what it is run on, one feed for each photo.
        memory: bytes that a step takes for one photo, about.
    """

    def __init__(self, model: ir.Model, inputs: Sequence[Feed], memory: float = 0.0) -> None:
        self._memory = memory
        self._model = model.clone()
        self._held: list[dict[str, Array]] = [dict(feed) for feed in inputs]
        self._left = {graphs.name_of(n.outputs[0]): n for n in graphs.computed(self._model.graph)}

    def change(self, arrays: Mapping[str, Array]) -> None:
        """Other numbers (float32, shapes kept) for initializers that are read from now on."""
        for name, array in arrays.items():
            value = self._model.graph.initializers.get(name)
            if value is not None:
                value.const_value = ir.tensor(np.ascontiguousarray(array, np.float32).reshape(np.shape(array)))

    def advance(self, names: Collection[str]) -> list[dict[str, Array]]:
        """Run what the named values need and has not run yet; the values of each photo."""
        return self.look(names, dict)

    def look(self, names: Collection[str], at: Callable[[Mapping[str, Array]], R]) -> list[R]:
        """The same, and what ``at`` makes of each photo's values, which are dropped at once if nothing needs them."""
        step = self._ancestors(names)
        reached = [name for name, node in self._left.items() if id(node) in step]
        for name in reached:
            del self._left[name]
        needed = {graphs.name_of(v) for node in self._left.values() for v in node.inputs if v is not None}
        made = [v for node in step.values() for v in node.outputs if v.name in names or v.name in needed]
        run = self._runner(step.values(), made) if made else lambda _: {}

        def go(photo: int) -> R:
            values = {**self._held[photo], **run(self._held[photo])}
            self._held[photo] = {name: array for name, array in values.items() if name in needed}
            return at({name: values[name] for name in names})

        return list(parallel.over(go, range(len(self._held)), self._memory))

    def _ancestors(self, names: Collection[str]) -> dict[int, ir.Node]:
        """The nodes that have not run yet and lead to the named values, in order."""
        wanted, found = set(names), []
        for node in reversed(list(self._left.values())):
            if any(value.name in wanted for value in node.outputs):
                wanted |= {graphs.name_of(v) for v in node.inputs if v is not None}
                found.append(node)
        return {id(node): node for node in reversed(found)}

    def _runner(
        self, step: Iterable[ir.Node], made: Sequence[ir.Value]
    ) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        read = [v for node in step for v in node.inputs if v is not None and v.name in self._held[0]]
        given = list({graphs.name_of(value): value for value in read}.values())
        part = ir.convenience.extract(self._model.graph, given, list(made))
        session: Any = graphs.session(ir.Model(part, ir_version=self._model.ir_version))
        taken, outputs = ([graphs.name_of(value) for value in values] for values in (given, made))

        def run(held: Mapping[str, Array]) -> dict[str, Array]:
            return dict(zip(outputs, session.run(outputs, {name: held[name] for name in taken}), strict=True))

        return run
