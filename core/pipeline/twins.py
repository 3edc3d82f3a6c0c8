"""Proofs at a small size, for formats whose only runtimes here are too slow for the size of the files.

A file of dynamic size is run on small pictures. For a file of fixed size, a twin of small size is written from the same
graph, weights and scale table by the same writer; it is proven and discarded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from clearport.base import Artifact, Options, Size
from clearport.disk.files import write_bytes
from clearport.export.onnxruntime.target import onnx_form
from clearport.export.written import target_graph
from clearport.graph import nodes as graphs
from clearport.operators import sizes
from clearport.pictures.probe import probe_picture
from clearport.pipeline.criteria import PHOTO, PROBE
from clearport.pipeline.goldens import Goldens, golden_picture, make_goldens, probe_size
from clearport.pipeline.prove import Proof, network_artifact, prove
from clearport.runtime.parity import ParityReport
from clearport.runtime.usable import runners_of, too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from clearport.pictures.images import Image8
    from clearport.pipeline.diagnosis.steps import Steps
    from clearport.pipeline.isolated.process import Isolated
    from clearport.pipeline.plan import Plan
    from clearport.pipeline.record import Made
    from clearport.quantized import QuantizedGraph


@dataclass(frozen=True)
class Twins:
    """Key of an artifact -> the twin that is run instead, with exams of ``size``.

    ``reference`` is the QDQ model of that size, if any.
    """

    files: Mapping[str, Artifact]
    goldens: Goldens | None = None
    size: Size | None = None
    reference: Path | None = None

    def proving(self, artifact: Artifact, threads: int, steps: Steps | None) -> Callable[[], Proof] | None:
        """The proof of an artifact by its twin; None if it has none."""
        if artifact.key not in self.files or self.goldens is None:
            return None
        return partial(self._proof, artifact, threads, steps)

    def _proof(self, artifact: Artifact, threads: int, steps: Steps | None) -> Proof:
        """The proof, without replays: outputs at another size cannot be reproduced later."""
        assert self.goldens is not None
        twin = self.files[artifact.key]
        found = prove(twin, [references.exam(twin) for references in self.goldens.all], threads, steps)
        way = f"at {self.size}" if twin.path == artifact.path else f"its twin for {self.size} pictures"
        return Proof(
            tuple(replace(r, method=f"{r.method}, {way}") if isinstance(r, ParityReport) else r for r in found.reports),
            steps=tuple(replace(each, method=f"{each.method}, {way}") for each in found.steps),
        )


NONE = Twins({})


def make_twins(plan: Plan, made: Made, picture: Image8, isolated: Isolated, folder: Path) -> Twins:
    """The artifacts to be proven at a small size instead of on ``picture``; twins are written to ``folder``."""
    slow = [artifact for artifact in made.artifacts if _is_slow(artifact, picture)]
    size = _size(plan, made)
    if not slow or size is None or size.height * size.width >= picture.shape[0] * picture.shape[1]:
        return NONE
    form = _at(made.quantized, size)
    graph = made.graph if made.graph.input.dynamic else sizes.resized(made.graph, size)
    files = {artifact.key: artifact for artifact in slow if artifact.inputs[0].dynamic}
    for cell in plan.cells if len(files) < len(slow) else ():
        if any((a.target, a.precision) == (cell.target.name, cell.precision) and a.key not in files for a in slow):
            wanted = form if cell.precision == "int8" else None
            found = isolated.lower(cell, graph, wanted, Options(size, plan.options.io), folder)
            files |= {twin.key: twin for twin in found if isinstance(twin, Artifact)}
    path = None if form is None else _reference(made, form, size, folder)
    return Twins(files, _goldens(plan, replace(made, graph=graph), form, size, path), size, path)


def _is_slow(artifact: Artifact, picture: Image8) -> bool:
    """Whether its format has runtimes here that are all too slow for the picture."""
    usable = [runner for runner, obstacle in runners_of(artifact) if obstacle is None]
    return bool(usable) and all(too_large(runner, *picture.shape[:2]) for runner in usable)


def _size(plan: Plan, made: Made) -> Size | None:
    """A small size that the network accepts, also in PyTorch; None if there is none."""
    if sizes.size_bound(made.graph) is not None or not made.network.inputs[0].dynamic:
        return None
    least = probe_size(plan.source.traits, None)
    step = math.lcm(plan.source.traits.size_multiple, sizes.coarsest_stride(made.graph))
    return Size(*(-(-side // step) * step for side in (least.height, least.width)))


def _at(form: QuantizedGraph | None, size: Size) -> QuantizedGraph | None:
    if form is None or form.graph.input.dynamic:
        return form
    return replace(form, graph=sizes.resized(form.graph, size))


def _reference(made: Made, form: QuantizedGraph, size: Size, folder: Path) -> Path:
    path = folder / "reference_qdq.onnx"
    write_bytes(path, graphs.to_bytes(onnx_form(target_graph(made.graph, form, "int8"), Options(size, "float32"))[0]))
    return path


def _goldens(plan: Plan, made: Made, form: QuantizedGraph | None, size: Size, path: Path | None) -> Goldens:
    reference = network_artifact(path, form.graph.inputs, form.graph.outputs) if path and form else None
    pictures = {PHOTO: golden_picture(plan.source.traits.task, size), PROBE: probe_picture(size)}
    return make_goldens(pictures, made.graph, made.network, reference, plan.request.threads)
