"""Golden pictures: what goes in, and what must come out of every artifact, as PNG files that anybody can look at.

There is a photo as the network's task has it, and a probe, which reaches what the photo does not: noise, edges,
gradients, flat areas. What PyTorch gave is kept as a picture and, at some of its pixels, as the numbers that it was.
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
from clearport.models import samples
from clearport.models.task_inputs import as_inputs
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.criteria import PHOTO, PROBE, PYTORCH, QDQ, References
from clearport.pipeline.prove import REFERENCE_OPTIONS, run_each, runner_of
from clearport.runtime import parity
from clearport.runtime.parity import Reference, Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.base import Array, Graph
    from clearport.pictures.images import Image8
    from clearport.protocols import Described, Progress

VALUES = "goldens/values.safetensors"
PROTOCOL = "RGB, no border, 8 bit (clipped to 0..255 and rounded half to even), peak 255"
_FOLDER = "goldens"
_PREFIXES = {PHOTO: "", PROBE: "probe_"}
_PROBE_SIDE = 64


@dataclass(frozen=True)
class Goldens:
    """The pictures that every artifact is run on, and what each is compared with."""

    photo: References
    probe: References

    @property
    def picture(self) -> Image8:
        """The photo."""
        return self.photo.picture

    @property
    def all(self) -> tuple[References, ...]:
        return self.photo, self.probe


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


def probe_size(spec: Described, size: Size | None) -> Size:
    """The size of the probe: that of the files or, where they take any, a small one that the network takes."""
    if size is not None:
        return size
    side = -(-max(_PROBE_SIDE, spec.least_side) // spec.size_multiple) * spec.size_multiple
    return Size(side, side)


def probe_picture(size: Size) -> Image8:
    """Noise, gradients, waves and flat blocks in quarters, uint8 (H, W, 3); the same every time.

    Edges are as steep as a photo's and colors as strong: at edges between saturated colors RLFN loses all digits
    (PyTorch and OpenVINO, both in float32, differ by 2 levels, float16 by 255), so that right files would fail there.
    """
    height, width = size.height, size.width
    generator = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.sin(12 * x[..., None] * np.arange(1, 4)) * np.cos(9 * y[..., None])
    grid = (-(-height // 8), -(-width // 8))
    blocks = generator.choice([16, 64, 128, 192, 240], size=(*grid, 1)) + generator.integers(-16, 17, (*grid, 3))
    parts = (
        128 + 40 * generator.standard_normal((height, width, 3)),
        np.stack([255 * x, 255 * y, 255 * (1 - x)], axis=-1),
        128 + 60 * waves + 8 * generator.standard_normal((height, width, 3)),
        blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width],
    )
    quarter = 2 * (np.arange(height) >= height // 2)[:, None] + (np.arange(width) >= width // 2)
    picture = np.select([(quarter == i)[..., None] for i in range(len(parts))], parts)
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def make_goldens(
    pictures: dict[str, Image8], graph: Graph, network: Artifact, reference: Artifact | None, threads: int
) -> Goldens:
    """Run the photo and the probe through PyTorch and, where there is one, through the quantized reference model.

    The reference has ends of its own: it may count from another black than the network does.
    """
    runner, options = runner_of(network)
    photos = list(pictures.values())
    outputs = run_each(runner, network, photos, threads, options)
    floats = [Reference.of(PYTORCH, output, graph.output, Fraction(graph.scale).numerator) for output in outputs]
    if reference is None:
        return Goldens(*(References(*found) for found in zip(pictures, photos, floats, strict=True)))
    ways = [
        [Reference.of(QDQ, output, reference.outputs[0], Fraction(graph.scale).numerator) for output in run_each(*how)]
        for how in (
            ("onnxruntime", reference, photos, threads, REFERENCE_OPTIONS),
            ("onnxruntime", reference, photos, threads),
        )
    ]
    return Goldens(*(References(*found) for found in zip(pictures, photos, floats, *ways, strict=True)))


def save_goldens(
    goldens: Goldens, folder: Path, artifacts: Sequence[Artifact], progress: Progress
) -> tuple[GoldenRecord, ...]:
    """Write the pictures and PyTorch's numbers; the records say how far each artifact may be from them."""
    from safetensors.numpy import save

    progress("saving golden pictures", 0, 0)
    (folder / _FOLDER).mkdir(exist_ok=True)
    values = {_PREFIXES[r.name] + "float": _sampled(r.float) for r in goldens.all}
    write_bytes(folder / VALUES, save(values))
    return tuple(record for references in goldens.all for record in _records(folder, references, artifacts))


def _sampled(reference: Reference) -> Array:
    height, width = reference.levels.shape[:2]
    return np.ascontiguousarray(reference.levels.reshape(-1, 3)[parity.positions(height, width)])


def _records(folder: Path, references: References, artifacts: Sequence[Artifact]) -> list[GoldenRecord]:
    prefix, found = _PREFIXES[references.name], references
    limits: dict[tuple[str, str], dict[str, Tolerance]] = {}
    for artifact in artifacts:
        for criterion in found.exam(artifact).criteria:
            limits.setdefault((criterion.reference.name, criterion.basis), {})[artifact.key] = criterion.tolerance
    pictures = {"input": found.picture, "float": _picture(found.float)}
    if found.int8 is not None:
        pictures["int8"] = _picture(found.int8)
    names = {"float": PYTORCH, "int8": QDQ}
    return [
        _record(
            folder,
            f"{prefix}{role}",
            picture,
            role=role,
            input=f"{prefix}input",
            tolerances=limits.get((names.get(role, ""), "8-bit pictures"), {}),
            value_tolerances=limits.get((names.get(role, ""), "real values"), {}),
            values=VALUES if role == "float" else None,
        )
        for role, picture in pictures.items()
    ]


def _picture(reference: Reference) -> Image8:
    return np.clip(np.rint(reference.levels), 0, 255).astype(np.uint8)


def _record(folder: Path, name: str, picture: Image8, **fields: object) -> GoldenRecord:
    path = f"{_FOLDER}/{name}.png"
    save_png(folder / path, picture)
    protocol = "" if fields["role"] == "input" else PROTOCOL
    about = {"name": name, "path": path, "sha256": digest(folder / path), "protocol": protocol}
    return GoldenRecord.model_validate({**about, **fields})
