"""Goldens: inputs and expected outputs of every artifact; pictures are plain PNG files.

There is a photo typical of the network's task, and a probe for cases that the photo does not cover: noise, edges,
gradients, flat areas. PyTorch's output is kept as a picture and, at some of its pixels, as unrounded values; outputs
other than pictures are kept as values.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Artifact, Size, Task
from clearport.bundle.manifest import GoldenRecord
from clearport.disk.files import digest, write_bytes
from clearport.errors import BadInput
from clearport.graph import feeds
from clearport.models import samples
from clearport.models.task_inputs import as_inputs, extended
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.criteria import PHOTO, PROBE, QDQ, References, output_names, reference_of
from clearport.pipeline.isolated.workers import REFERENCE_OPTIONS
from clearport.pipeline.prove import run_each, runner_of
from clearport.runtime import parity, pixels
from clearport.runtime.parity import ONNX_FILE, PYTORCH, Reference, Tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clearport.base import Array, Graph, TensorSpec
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.pipeline.criteria import AnyReference
    from clearport.protocols import Described, Progress

VALUES = "goldens/values.safetensors"
TENSORS = "goldens/tensors.safetensors"
VALUES_PROTOCOL = "peak: the largest number of the reference"
PNG_CHANNELS = (1, 2, 3, 4)
PROTOCOL = "RGB, no border, 8 bit (clipped to 0..255 and rounded half to even), peak 255"
_FOLDER = "goldens"
_PREFIXES = {PHOTO: "", PROBE: "probe_"}
_PROBE_SIDE = 64


@dataclass(frozen=True)
class Goldens:
    """The samples of every artifact, and their references; ``size`` is that of the photo."""

    size: Size
    photo: References
    probe: References

    @property
    def all(self) -> tuple[References, ...]:
        return self.photo, self.probe


def fit(picture: Image8, size: Size | None) -> Image8:
    """The center of ``picture`` at ``size``, padded symmetrically (mirrored) if it is smaller; unchanged for None."""
    if size is None:
        return picture
    padded = extended(picture, size)
    top, left = ((have - want) // 2 for have, want in zip(padded.shape[:2], (size.height, size.width), strict=True))
    return np.ascontiguousarray(padded[top : top + size.height, left : left + size.width])


def golden_picture(task: Task, size: Size | None) -> Image8:
    """The golden photo degraded as for ``task``, at ``size``."""
    return fit(as_inputs([load_rgb(samples.golden())], task, size)[0], size)


def probe_size(spec: Described, size: Size | None) -> Size:
    """The size of the probe: that of the files or, if they are dynamic, a small valid one."""
    if size is not None:
        return size
    side = -(-max(_PROBE_SIDE, spec.least_side) // spec.size_multiple) * spec.size_multiple
    return Size(side, side)


def make_goldens(
    pictures: dict[str, Image8],
    graph: Graph,
    network: Artifact,
    reference: Artifact | None,
    threads: int,
    photo: Sample | None = None,
) -> Goldens:
    """Run the photo and the probe through PyTorch and the quantized reference model, if any.

    ``photo`` replaces the sample made from the photo.

    The reference has its own input and output ranges: its black may differ from the network's. States are the network's
    outputs after one step.

    Raises:
        BadInput: an output of the network is not finite.
    """
    runner, options = runner_of(network)
    samples = [feeds.sample_of(graph.inputs, picture, n) for n, picture in enumerate(pictures.values())]
    if photo is not None:
        samples[list(pictures).index(PHOTO)] = {spec.name: photo[spec.name] for spec in feeds.ordered(graph.inputs)}
    outputs = run_each(runner, network, samples, threads, options)
    if any(spec.kind == "state" for spec in graph.inputs):
        samples = [_returned(graph, *each) for each in zip(samples, outputs, strict=True)]
        outputs = run_each(runner, network, samples, threads, options)
    _check_finite(graph, pictures, outputs)
    grid = Fraction(graph.scale).numerator
    floats = _references(ONNX_FILE if runner == "onnxruntime" else PYTORCH, outputs, graph.outputs, grid)
    size = Size(*pictures[PHOTO].shape[:2])
    if reference is None:
        return Goldens(size, *(References(*found) for found in zip(pictures, samples, floats, strict=True)))
    ways = [
        _compact(_references(QDQ, run_each("onnxruntime", reference, samples, threads, how), reference.outputs, grid))
        for how in (REFERENCE_OPTIONS, None)
    ]
    return Goldens(size, *(References(*found) for found in zip(pictures, samples, floats, *ways, strict=True)))


def _check_finite(graph: Graph, pictures: Mapping[str, Image8], outputs: Sequence[Mapping[str, Array]]) -> None:
    for picture, found in zip(pictures, outputs, strict=True):
        for name, values in found.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                lost = int(values.size - np.isfinite(values).sum())
                raise BadInput(
                    f"{graph.spec_name}: the network itself outputs {lost} of {values.size} values of {name!r} as NaN "
                    f"or infinite for the picture {picture!r}, against which its files are proven: fix the network (a "
                    "division by 0, a logarithm of 0, attention without any key), or give another --range"
                )


def _returned(graph: Graph, sample: Sample, outputs: Mapping[str, Array]) -> Sample:
    results = {spec.name: pixels.to_values(outputs[spec.name], spec) for spec in graph.outputs}
    return feeds.returned(graph.inputs, graph.outputs, sample, results)


def _references(
    name: str, found: Sequence[Mapping[str, Array]], specs: Sequence[TensorSpec], grid: int
) -> list[tuple[AnyReference, ...]]:
    """The reference of each output, for each sample."""
    named = list(zip(specs, output_names(specs), strict=True))
    return [tuple(reference_of(name, each[s.name], s, grid, word) for s, word in named) for each in found]


def _compact(found: Sequence[tuple[AnyReference, ...]]) -> list[tuple[AnyReference, ...]]:
    """Pictures of 8 bits as such: they are kept until every file is proven."""
    return [tuple(r.compact() if isinstance(r, Reference) else r for r in each) for each in found]


def save_goldens(
    goldens: Goldens, graph: Graph, folder: Path, artifacts: Sequence[Artifact], progress: Progress
) -> tuple[GoldenRecord, ...]:
    """Write inputs and expected outputs; the records have the tolerances of each artifact."""
    from safetensors.numpy import save

    progress("saving golden pictures", 0, 0)
    (folder / _FOLDER).mkdir(exist_ok=True)
    files = GoldenFiles(folder)
    drafts = [draft for found in goldens.all for draft in _drafts(files, graph, found, artifacts)]
    if files.values:
        write_bytes(folder / VALUES, save(files.values))
    if files.tensors:
        write_bytes(folder / TENSORS, save(files.tensors))
    return tuple(
        GoldenRecord.model_validate({**draft, "sha256": digest(folder / str(draft["path"]))}) for draft in drafts
    )


class GoldenFiles:
    """Writes the golden files of a bundle: each picture to its own file, everything else to two files at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.values: dict[str, Array] = {}
        self.tensors: dict[str, Array] = {}

    def picture(self, name: str, pixels: Image8) -> str:
        """The file of a picture (H, W, C): a PNG, if the format supports it."""
        if pixels.shape[2] not in PNG_CHANNELS:
            return self.tensor(name, pixels)
        path = f"{_FOLDER}/{name}.png"
        save_png(self._folder / path, pixels)
        return path

    def tensor(self, name: str, values: Array) -> str:
        """The file of an array."""
        self.tensors[name] = np.ascontiguousarray(values)
        return TENSORS


def _sampled(reference: Reference) -> Array:
    height, width = reference.levels.shape[:2]
    whole = reference.levels.reshape(-1, reference.levels.shape[2])
    return np.ascontiguousarray(whole[parity.positions(height, width)])


def _drafts(
    files: GoldenFiles, graph: Graph, found: References, artifacts: Sequence[Artifact]
) -> list[dict[str, object]]:
    """The records of one sample, without checksums; the first is the input that determines the size."""
    prefix, limits = _PREFIXES[found.name], _limits(found, artifacts)
    named = {spec.name: spec for spec in graph.inputs}
    drafts = []
    for number, (name, value) in enumerate(found.sample.items()):
        path, word = _stored(files, f"{prefix}input", name if number else "", value, named[name].is_picture)
        kind = named[name].kind
        drafts.append(_draft(word, path, "input", prefix, tensor=name if len(named) > 1 else "", kind=kind))
    for role, references in (("float", found.float), ("int8", found.int8)):
        for number, (reference, spec) in enumerate(zip(references, graph.outputs, strict=bool(references))):
            value = _picture(reference) if isinstance(reference, Reference) else reference.values
            path, word = _stored(files, f"{prefix}{role}", spec.name if number else "", value, spec.is_picture)
            extra: dict[str, object] = {}
            if isinstance(reference, Reference) and role == "float":
                files.values[word] = _sampled(reference)
                extra["values"] = VALUES
            for field, bases in (("tolerances", ("8-bit pictures", "values")), ("value_tolerances", ("real values",))):
                extra[field] = {
                    key: limit
                    for (judge, output, basis, key), limit in limits.items()
                    if (judge, output) == (reference.name, reference.output) and basis in bases
                }
            protocol = PROTOCOL if spec.is_picture else VALUES_PROTOCOL
            named_as = {"tensor": reference.output, "kind": spec.kind, "protocol": protocol}
            drafts.append(_draft(word, path, role, prefix, **named_as, **extra))
    return drafts


def _limits(found: References, artifacts: Sequence[Artifact]) -> dict[tuple[str, str, str, str], Tolerance]:
    """(reference, output, basis, artifact) -> tolerance."""
    return {
        (c.reference.name, c.reference.output, c.basis, artifact.key): c.tolerance
        for artifact in artifacts
        for c in found.exam(artifact).criteria
    }


def _stored(files: GoldenFiles, word: str, name: str, value: Array, is_picture: bool) -> tuple[str, str]:
    """The file and the name of a value."""
    called = f"{word}.{name}" if name else word
    return (files.picture if is_picture else files.tensor)(called, value), called


def _picture(reference: Reference) -> Image8:
    return np.clip(np.rint(reference.levels), 0, 255).astype(np.uint8)


def _draft(name: str, path: str, role: str, prefix: str, **fields: object) -> dict[str, object]:
    return {"name": name, "path": path, "role": role, "input": f"{prefix}input", **fields}
