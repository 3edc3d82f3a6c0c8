"""Stepwise execution of a network on every photo: each step continues where the last one stopped.

Later layers see a layer's rounding, so they are rounded after it. Running from the start for each layer would cost as
many runs as there are layers; stepwise execution costs one.
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
    """A model, with the values that its next operators need for each photo.

    Args:
        model: float32 model.
        inputs: one feed per photo.
        memory: approximate bytes of a step for one photo.
    """

    def __init__(self, model: ir.Model, inputs: Sequence[Feed], memory: float = 0.0) -> None:
        self._memory = memory
        self._model = model.clone()
        self._held: list[dict[str, Array]] = [dict(feed) for feed in inputs]
        self._left = {graphs.name_of(n.outputs[0]): n for n in graphs.computed(self._model.graph)}

    def change(self, arrays: Mapping[str, Array]) -> None:
        """Replace initializers that later operators read (float32, same shapes)."""
        for name, array in arrays.items():
            value = self._model.graph.initializers.get(name)
            if value is not None:
                value.const_value = ir.tensor(np.ascontiguousarray(array, np.float32).reshape(np.shape(array)))

    def advance(self, names: Collection[str]) -> list[dict[str, Array]]:
        """Run all remaining operators that the named values need; return the values of each photo."""
        return self.look(names, dict)

    def look(self, names: Collection[str], at: Callable[[Mapping[str, Array]], R]) -> list[R]:
        """As ``run``, but return ``at`` of each photo's values, which are freed as soon as nothing needs them."""
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
        """The pending nodes that the named values depend on, in order."""
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
