"""ncnn: a folder ``<name>.ncnn`` with the ``.param`` and ``.bin`` of one model, written directly.

The model has the blobs ``image`` and ``restored``, float32 of shape (3, H, W) RGB in the network's range. Integers
(classes, indices) are float32, too: blobs have no other type. fp32 and fp16 differ in the storage of weights; the app
chooses the compute type by ncnn's options.

``<name>.json`` holds the precision and the pixel contract, since neither file has a place for them. There is
no int8 form: ncnn's int8 kernels are symmetric (no zero point), so that a picture of 0..255, or a ReLU's output, would
have 127 levels, and the scale table of all other targets could not be used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Artifact, Options, Precision, Skipped
from clearport.disk.files import atomic_path, digest
from clearport.errors import BadInput, NotInstalled
from clearport.export.written import described
from clearport.graph import shapes
from clearport.quantized import TargetGraph
from clearport.registry import installed_versions, missing

if TYPE_CHECKING:
    from clearport.base import Graph

_NO_INT8 = (
    "ncnn's int8 kernels have scales without a zero point: a picture of 0..255 would have 127 levels there, and the "
    "scale table of the other targets cannot be followed; take fp32 or fp16"
)


class NcnnTarget:
    """The target ``ncnn`` (see the module's docstring)."""

    name = "ncnn"
    title = "ncnn"
    precisions: tuple[Precision, ...] = ("fp32", "fp16")
    requires = ("ncnn",)  # writing needs no package, but the proof does, and unproven files are not shipped

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write ``<network>_x<scale>_<precision>.ncnn/``.

        Raises:
            UnsupportedOperator: ncnn cannot express an operator.
            BadInput: the graph was made for a size other than ``options.size``.
            NotInstalled: ncnn is missing.
        """
        graph, precision = form.graph, form.precision
        if missing(self.requires):
            raise NotInstalled(missing(self.requires)[0], self.name)
        if precision not in self.precisions:
            reason = _NO_INT8 if precision.startswith("int8") else f"ncnn is written as {', '.join(self.precisions)}"
            return [Skipped(f"{self.name}/{precision}", reason)]
        _check_size(graph, options)
        text, weights = emit(graph, half=precision == "fp16")
        stem = f"{graph.stem}_{precision}"
        path = folder / f"{stem}.ncnn"
        outputs = tuple(replace(spec, dtype="float32") if spec.kind == "index" else spec for spec in graph.outputs)
        contract = {"precision": precision, **described(graph.inputs, outputs)}
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / f"{stem}.param").write_text(text, encoding="ascii")
            (temporary / f"{stem}.bin").write_bytes(weights)
            (temporary / f"{stem}.json").write_text(json.dumps(contract, indent=1, sort_keys=True) + "\n")
        versions = {name: found for name, found in installed_versions(self.requires).items() if found}
        return [Artifact(self.name, precision, path, digest(path), graph.inputs, outputs, versions)]


def emit(graph: Graph, *, half: bool) -> tuple[str, bytes]:
    """The ``.param`` and the ``.bin`` of a graph; ``half``: weights are stored as float16."""
    from clearport.export.ncnn import resize
    from clearport.export.ncnn.lower import TARGET_NAME, Lowering
    from clearport.export.ncnn.rules import has_rule, write
    from clearport.export.passes.plain import ranks, recurrent, resampled, sampling
    from clearport.export.without_rule import require_rules
    from clearport.graph import nodes as graphs

    graph = ranks.run(sampling.without_reflection(sampling.of_batches(recurrent.run(graph))), every=True)
    graph = resampled.picked_out(graph, resize.stays)
    nodes = tuple(graphs.computed(graph.model.graph))
    require_rules(TARGET_NAME, nodes, has_rule)
    low = Lowering(graph, half)
    for node in nodes:
        write(low, node)
    names = [spec.name for spec in graph.outputs]
    for name, value in zip(names, graph.model.graph.outputs, strict=True):
        given = low.of(value)
        if given != name:
            low.file.layer("Noop", name, [given], name)
    return low.file.param(names), low.file.weights()


def _check_size(graph: Graph, options: Options) -> None:
    """Check that a fixed-size graph is written for its own size."""
    made = shapes.size_of(graph.input)
    if made is not None and options.size != made:
        asked = options.size or "any size"
        raise BadInput(f"the graph was made for {made} and cannot be written for {asked}: export it again")


TARGET = NcnnTarget()
