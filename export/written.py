"""The graph of a file, by precision; its contract is the file's contract."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clearport.base import FLOAT_PRECISIONS, TensorSpec
from clearport.quantized import TargetGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Graph, Precision
    from clearport.quantized import QuantizedGraph

_SINCE_KINDS = ("kind", "measure", "mean", "std")
"""Fields that are omitted if they have the defaults of a picture."""


def target_graph(graph: Graph, quantized: QuantizedGraph | None, precision: Precision) -> TargetGraph:
    """A target's input for one precision, from a float graph and its quantized form.

    An int8 graph may have a shifted range (``quantize.ends``), so the contract of a file is that of this graph.

    Raises:
        ValueError: the precision needs the quantized graph, and there is none.
    """
    if precision in FLOAT_PRECISIONS:
        return TargetGraph(graph, None, precision)
    if quantized is None:
        raise ValueError(f"{precision} files are written from the quantized graph")
    return TargetGraph(quantized.graph, quantized.table, precision)


def described(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> dict[str, Any]:
    """The contract that is written into or beside a file, as JSON: ``input`` and ``output``, or lists of several."""
    ends = {"input": inputs, "output": outputs}
    return {
        word if len(specs) == 1 else f"{word}s": _fields(specs[0]) if len(specs) == 1 else [_fields(s) for s in specs]
        for word, specs in ends.items()
    }


def _fields(spec: TensorSpec) -> dict[str, Any]:
    plain = TensorSpec("", ())
    return {name: v for name, v in asdict(spec).items() if name not in _SINCE_KINDS or v != getattr(plain, name)}
