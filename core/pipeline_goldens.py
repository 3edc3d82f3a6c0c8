"""Golden pictures: what goes in, and what must come out of every artifact, as PNG files that anybody can look at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from clearport.base import Artifact, Size, Task, TensorSpec
from clearport.bundle_manifest import GoldenRecord
from clearport.files import digest
from clearport.images import load_rgb, save_png
from clearport.models import samples
from clearport.models.task_inputs import as_inputs
from clearport.pipeline_prove import PYTORCH, QDQ, REFERENCE_OPTIONS, References, network_artifact, run_once
from clearport.runtime import parity, pixels
from clearport.runtime.parity import Reference, Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph
    from clearport.bundle import Bundle
    from clearport.bundle_manifest import ArtifactRecord
    from clearport.images import Image8
    from clearport.protocols import Progress

INPUT, FLOAT, INT8 = "goldens/input.png", "goldens/float.png", "goldens/int8.png"
PROTOCOL = "RGB, no border, 8 bit (clipped to 0..255 and rounded half to even), peak 255"


@dataclass(frozen=True)
class Goldens:
    """The picture that every artifact is run on, and what it is compared with."""

    picture: Image8
    references: References


def fit(picture: Image8, size: Size | None) -> Image8:
    """The middle of ``picture`` at ``size``, mirrored outwards where it is smaller; as it is for None."""
    if size is None:
        return picture
    lacking = [max(0, want - have) for want, have in zip((size.height, size.width), picture.shape[:2], strict=True)]
    margins = [(n // 2, n - n // 2) for n in lacking]
    padded = np.pad(picture, (*margins, (0, 0)), mode="symmetric")
    top, left = ((have - want) // 2 for have, want in zip(padded.shape[:2], (size.height, size.width), strict=True))
    return np.ascontiguousarray(padded[top : top + size.height, left : left + size.width])


def golden_picture(task: Task, size: Size | None) -> Image8:
    """The golden photo as networks of ``task`` see it, at ``size``."""
    return fit(as_inputs([load_rgb(samples.golden())], task)[0], size)


def make_goldens(picture: Image8, graph: Graph, weights: Path, reference: Artifact | None, threads: int) -> Goldens:
    """Run a picture through PyTorch and, where there is one, through the quantized reference model.

    The reference has ends of its own: it may count from another black than the network does.
    """
    network = network_artifact(weights, graph.input, graph.output)
    output = run_once("torch", network, picture, threads)
    by_float = Reference.of(PYTORCH, output, graph.output)
    by_int8 = None
    if reference is not None:
        output = run_once("onnxruntime", reference, picture, threads, REFERENCE_OPTIONS)
        by_int8 = Reference.of(QDQ, output, reference.outputs[0])
    return Goldens(picture, References(picture, by_float, by_int8))


def save_goldens(
    goldens: Goldens, folder: Path, artifacts: Sequence[Artifact], progress: Progress
) -> tuple[GoldenRecord, ...]:
    """Write the pictures; the records say how far each artifact may be from them."""
    progress("saving golden pictures", 0, 0)
    pictures = {INPUT: goldens.picture, FLOAT: _picture(goldens.references.float)}
    if goldens.references.int8 is not None:
        pictures[INT8] = _picture(goldens.references.int8)
    for path, picture in pictures.items():
        save_png(folder / path, picture)
    judged = {
        FLOAT: [a for a in artifacts if a.precision != "int8"],
        INT8: [a for a in artifacts if a.precision == "int8"],
    }
    return tuple(_record(folder, path, judged.get(path, []), goldens.references) for path in pictures)


def _picture(reference: Reference) -> Image8:
    return np.clip(np.rint(reference.levels), 0, 255).astype(np.uint8)


def _record(folder: Path, path: str, artifacts: Sequence[Artifact], references: References) -> GoldenRecord:
    roles: dict[str, Literal["input", "float", "int8"]] = {INPUT: "input", FLOAT: "float", INT8: "int8"}
    return GoldenRecord(
        name=Path(path).stem,
        path=path,
        sha256=digest(folder / path),
        role=roles[path],
        protocol="" if path == INPUT else PROTOCOL,
        tolerances={a.key: references.tolerance(a, as_picture(a.outputs[0])) for a in artifacts},
    )


def as_picture(spec: TensorSpec) -> TensorSpec:
    """The contract of an output once it is an 8-bit picture (1, H, W, 3)."""
    return spec.with_dtype("uint8", spec.pixel_step, round(-spec.value_range[0] / spec.pixel_step), "NHWC")


def compare_pictures(
    output: Array, artifact: Artifact, golden: Image8, limits: Tolerance, method: str
) -> parity.ParityReport:
    """Judge an artifact's raw output, as the 8-bit picture that a viewer gets, against a golden picture."""
    picture = pixels.to_image(output, artifact.outputs[0])[None]
    shown = replace(artifact, outputs=(as_picture(artifact.outputs[0]),))
    reference = Reference("golden picture", golden.astype(np.float32))
    return parity.compare(picture, shown, reference, method, limits)


def judge_of(bundle: Bundle, record: ArtifactRecord) -> tuple[GoldenRecord | None, Tolerance | None]:
    """The golden picture that judges an artifact, and how far it may be off."""
    found = [g for g in bundle.manifest.goldens if record.key in g.tolerances]
    return (found[0], found[0].tolerances[record.key]) if found else (None, None)
