"""A network that is an ONNX file."""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearport.base import Artifact, Size, TensorSpec
from clearport.bundle.files import ONNX_NETWORK
from clearport.disk.files import write_bytes
from clearport.errors import BadInput, CheckFailed, NoSize, RuntimeFailure
from clearport.export.from_onnx.ends import WHOLE
from clearport.export.from_onnx.graph import check_sizes, graph_of
from clearport.export.from_onnx.plain import Plain, plain, with_plain_pictures
from clearport.export.from_onnx.read import read
from clearport.graph import nodes as graphs
from clearport.graph import shapes
from clearport.models import normalized
from clearport.models.cost import Cost
from clearport.pipeline.isolated.workers import REFERENCE_OPTIONS, TIMEOUT_S
from clearport.pipeline.sources import contract as contracts
from clearport.pipeline.sources import measure, ranges
from clearport.pipeline.sources.contract import Contract
from clearport.pipeline.sources.foreign import Description, cost_of, described
from clearport.pipeline.sources.roundings import matched, unrounded
from clearport.pipeline.sources.source import About, Rounded, Traits
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clearport.base import Array, Graph
    from clearport.export.from_onnx.ends import End
    from clearport.protocols import Progress

TOLERANCE, MOST = 1e-4, 1e-3
"""Tolerances of a graph to its file, relative to the output's range: as for PyTorch (``export/from_torch.py``)."""
_ROUNDINGS = 3.0
"""If ONNX Runtime without optimizations differs by more, the tolerance is this multiple of that, up to ``MOST``."""


@dataclass(frozen=True)
class OnnxSource:
    """See ``Source``. ``described`` is the result of the analysis."""

    plain: Plain
    found: Description
    threads: int = 1
    own: bool = False

    @property
    def traits(self) -> Traits:
        return self.found.traits

    def graph(self, size: Size | None, progress: Progress) -> Graph:
        progress("reading the graph", 0, 0)
        graph = self._graph(size)
        progress("comparing the graph with the file", 0, 0)
        tried = [size] if size is not None else list(self.found.tried)
        self._compare(graph, tried)
        second = self.found.tried[-1] if self.found.tried else None
        if size is not None and self.traits.size is None and second not in {None, size}:
            self._compare(self._graph(second), [second])
        return graph

    def _graph(self, size: Size | None) -> Graph:
        ends = self.found.sized(size)
        return graph_of(self.plain, self.traits.name, *ends, self.traits.scale)

    def _compare(self, graph: Graph, sizes: Sequence[Size | None]) -> None:
        """Compare the file and the graph on the same inputs, in ONNX Runtime.

        Raises:
            CheckFailed: they differ.
        """
        with (
            _opened(self._compared, REFERENCE_OPTIONS, self.threads) as file,
            _opened(graphs.to_bytes(graph.model), {}, self.threads) as made,
        ):
            for size in sizes:
                assert size is not None
                candidate = measure.Candidate(self.traits.name, graph.inputs, made)
                for given in (candidate.filled(size), candidate.drawn(size)):
                    self._judge(file(given), made(given), given, size)

    def _judge(self, wanted: dict[str, Array], made: dict[str, Array], given: dict[str, Array], size: Size) -> None:
        for name, array in wanted.items():
            told = f"{self.traits.name}: the graph differs from the file: for {size} output {name!r}"
            if made[name].shape != array.shape:
                raise CheckFailed(f"{told} has shape {made[name].shape}, the file's {array.shape}")
            if not np.isfinite(array).all():
                raise BadInput(f"{self.plain.given.path}: its output {name!r} is not finite on noise of {size}")
            span = float(np.ptp(array)) or 1.0
            far = float(np.abs(made[name].astype(np.float64) - array).max())
            if far > TOLERANCE * span and not far <= min(MOST * span, _ROUNDINGS * self._rounding(array, name, given)):
                raise CheckFailed(
                    f"{told} is off by up to {far:g}; the file's values are {array.min():g} to {array.max():g}"
                )

    def _rounding(self, single: Array, name: str, given: dict[str, Array]) -> float:
        """The file's difference between optimized and unoptimized kernels."""
        with _opened(self._compared, {}, self.threads) as again:
            return float(np.abs(again(given)[name].astype(np.float64) - single).max())

    def keep(self, folder: Path) -> Artifact:
        path = folder / ONNX_NETWORK
        write_bytes(path, self._reference)
        inputs, outputs = self.found.sized(self.traits.size)
        return Artifact("onnxruntime", "fp32", path, "", tuple(map(normalized.plain, inputs)), outputs, {})

    @cached_property
    def _reference(self) -> bytes:
        """The file with inputs and outputs for plain pictures."""
        return with_plain_pictures(self.plain, self.traits.inputs).to_bytes()

    @cached_property
    def _compared(self) -> bytes:
        """The reference of the comparison: the same, or the float network of a file quantized to 8 bits."""
        if self.plain.floats is None:
            return self._reference
        return with_plain_pictures(replace(self.plain, model=self.plain.floats), self.traits.inputs).to_bytes()

    def rounded(self, graph: Graph) -> Rounded | None:
        if self.plain.floats is None:
            return None
        size = shapes.size_of(graph.input) or self.found.tried[0]
        feed = measure.Candidate(self.traits.name, graph.inputs, dict).filled(size)
        given = matched(self.plain, graph, feed, lambda model: _opened(model, REFERENCE_OPTIONS, self.threads))
        return Rounded(given, unrounded(graph, given))

    def trained(self, graph: Graph) -> None:
        del graph

    def cost(self, size: Size) -> Cost:
        return cost_of(self._graph(size), size)

    def about(self) -> About:
        given = self.plain.given
        card = {
            "source": f"{given.path.name}, opset {given.opset}" + (f", by {given.producer}" if given.producer else ""),
            "source_sha256": given.sha256,
            "found": dict(self.found.how),
        }
        if self.plain.changed:
            card["kept"] = f"{ONNX_NETWORK} is the file, but that {', '.join(self.plain.changed)}"
        return About(card, self.traits.license)


def onnx_source(
    path: Path, name: str, contract: Contract, threads: int, *, size: Size | None = None, requantize: bool = False
) -> OnnxSource:
    """Read a file and determine its network's inputs and outputs.

    Args:
        path: the file.
        name: name of the network.
        contract: the user's contract.
        threads: CPU threads of ONNX Runtime.
        size: the size that is asked for, at which a file that declares dynamic sides, but accepts few, is fixed.
        requantize: whether a quantized file is converted back to float.

    Raises:
        BadInput: it cannot be read or exported, or accepts none of the tried sizes.
    """
    found = plain(read(path), requantize=requantize)
    contract = contracts.merged(_in_bytes(found), contract)
    inputs, free = _specs(found.inputs), any(isinstance(n, str) for end in found.inputs for n in end.shape)
    check_sizes(found, shapes.at(inputs, Size(measure.SIDE, measure.SIDE)))
    with ExitStack() as held:
        try:
            run = held.enter_context(_opened(found.to_bytes(), REFERENCE_OPTIONS, threads))
        except RuntimeFailure as error:
            said = re.sub(rf"\S*{re.escape(ONNX_NETWORK)}", str(path), str(error))
            raise BadInput(f"{path}: ONNX Runtime cannot load it: {said}") from error
        candidate = measure.Candidate(str(path), inputs, run)
        outputs = [end.name for end in found.outputs]
        build = partial(_probe_graph, found, name)
        try:
            description = described(candidate, outputs, name, free=free, contract=contract, build=build)
        except NoSize:
            if size is None or candidate.shapes(size) is None:
                raise
            candidate = measure.Candidate(str(path), shapes.at(inputs, size), run)
            description = described(candidate, outputs, name, free=False, contract=contract, build=build)
    if found.floats is not None:
        traits = replace(description.traits, precisions=("int8",))
        description = replace(description, traits=traits)
    return OnnxSource(found, description, threads)


def _in_bytes(found: Plain) -> Contract:
    """A contract with the range 0..255 for pictures that are integers in the file."""
    ends = [
        tuple(contracts.Ends(name=e.name, range=ranges.BYTES) for e in each if e.dtype == "uint8" and len(e.shape) == 4)
        for each in (found.inputs, found.outputs)
    ]
    return Contract(inputs=ends[0], outputs=ends[1])


def _probe_graph(found: Plain, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Graph:
    return graph_of(found, name, inputs, outputs, 1)


def _specs(ends: Sequence[End]) -> list[TensorSpec]:
    """The declared inputs of a file; dynamic sides of pictures become H and W, whatever their names."""
    found = []
    for end in ends:
        places = {2: "H", 3: "W"} if len(end.shape) == 4 else {}
        shape = tuple(n if isinstance(n, int) else places.get(axis, 1) for axis, n in enumerate(end.shape))
        found.append(TensorSpec(end.name, shape, value_range=ranges.UNIT if end.dtype in WHOLE else None))
    return found


@contextmanager
def _opened(model: bytes, options: Mapping[str, Any], threads: int) -> Iterator[measure.Run]:
    """A model in ONNX Runtime, in a worker."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, ONNX_NETWORK)
        path.write_bytes(model)
        with Worker("onnxruntime", path, threads, TIMEOUT_S, options) as worker:
            yield worker.run
