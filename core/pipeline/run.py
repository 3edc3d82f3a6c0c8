"""Running one artifact of a bundle on pictures of any size or other inputs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.bundle.folder import Bundle
from clearport.disk.outputs import claimed
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.pictures.images import MAX_PIXELS, as_gray
from clearport.pipeline.files.inputs import Taken, assigned, taken
from clearport.pipeline.files.outputs import Given, claims, places, save, save_light
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.protocols import no_progress
from clearport.registry import NETWORKS
from clearport.runtime import pixels, tiling
from clearport.runtime.tiling_png import CHANNELS, save_strips
from clearport.runtime.usable import method_of, runners_of, too_large

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Array, Artifact
    from clearport.bundle.manifest import ModelRecord
    from clearport.protocols import Progress


_GRAY = "the input is gray, so the luma of the network's output was written"
_SEAMS = (
    "the receptive field of this network is global, but the picture was processed in tiles, which may differ in tone; "
)


@dataclass(frozen=True)
class RunRequest:
    """Inputs, artifact and output; see ``clearport run --help``.

    ``inputs`` are files in the order of the network's inputs, or ``NAME=FILE``. ``variant`` None: the plain one, or the
    first.
    """

    folder: Path
    inputs: tuple[str | Path, ...]
    output: Path
    target: str = "tflite"
    precision: str = "int8"
    variant: str | None = None
    threads: int = 1


@dataclass(frozen=True)
class Restored:
    """The restored picture's path, its size in pixels, and its run time.

    ``method`` describes how the artifact was run; ``remark`` is a note on the result, if any. ``outputs`` lists all
    outputs if there is more than one picture; sizes are then those of the first.
    """

    output: Path
    width: int
    height: int
    tiles: int
    seconds: float
    artifact: str
    method: str
    remark: str = ""
    outputs: tuple[Given, ...] = ()


def restore_picture(request: RunRequest, progress: Progress = no_progress) -> Restored:
    """Run an artifact on the given files, and write its outputs.

    Pictures of another size than the artifact's are processed in seamless tiles, and the result is written as PNG.
    Other outputs are written as ``.npy``, further outputs beside the first. Networks with such inputs or outputs accept
    pictures of their own size only.

    Raises:
        BadInput: no such bundle, artifact or input, the artifact was changed, no runtime for it here, or the output
            cannot be written.
        RuntimeFailure: the runtime failed on the artifact.
    """
    began = time.monotonic()
    bundle = Bundle.load(request.folder)
    record = bundle.find(request.target, request.precision, request.variant)
    artifact = bundle.artifact(record)
    where = places(artifact, request.output)
    files = assigned(artifact, request.inputs)
    with claimed(*claims(where.values()), reads=(request.folder, *files.values())):
        if changed := [mismatch for mismatch in bundle.verify_files() if record.holds(mismatch.path)]:
            raise BadInput(f"{request.folder}: {changed[0]}; for the full list: clearport verify {request.folder}")
        given = taken(artifact, files)
        through = _in_tiles if _cuttable(artifact) else _at_once
        restored = through(bundle, artifact, given, where, request, progress)
    return replace(restored, seconds=time.monotonic() - began)


def _cuttable(artifact: Artifact) -> bool:
    """Whether all inputs are pictures of one size, and the only output is a picture that its file supports."""
    pictures = all(spec.is_picture or spec.transfer for spec in (*artifact.inputs, *artifact.outputs))
    return pictures and len(artifact.outputs) == 1 and artifact.outputs[0].channels in CHANNELS and _alike(artifact)


def _alike(artifact: Artifact) -> bool:
    return len({pixels.image_size(spec) for spec in artifact.inputs}) == 1


def _in_tiles(
    bundle: Bundle, artifact: Artifact, given: Taken, where: dict[str, Path], request: RunRequest, progress: Progress
) -> Restored:
    cutting, (spec,) = tiling_of(bundle, artifact), artifact.outputs
    values = [given.sample[each.name] for each in artifact.inputs]
    sizes = {value.shape[:2] for value in values}
    if len(sizes) > 1:
        told = " and ".join("x".join(map(str, size)) for size in sorted(sizes))
        raise BadInput(f"input pictures must have the same size, got {told} pixels")
    picture = np.concatenate(values, axis=2)
    size = Size(*picture.shape[:2])
    tiles, full = tiling.plan(size, cutting).tiles, cutting.enlarged(size)
    runner, method = usable_runner(artifact)
    gray = given.gray and spec.color == "RGB" and spec.is_picture
    with open_worker(runner, artifact, request.threads, TIMEOUT_S) as worker:
        infer = tiling.engine(worker, artifact)
        strips = tiling.strips(picture, infer, cutting, lambda done, total: progress("restoring tiles", done, total))
        if spec.transfer:
            save_light(where[spec.name], full, strips)
        else:
            save_strips(where[spec.name], full, map(as_gray, strips) if gray else strips, spec.channels or 3)
    seams = _seams(size, cutting) if tiles > 1 and model_of(bundle).whole_picture else ""
    order = _order(values) if spec.transfer else ""
    remark = "; ".join(part for part in (given.read, _GRAY if gray else "", seams, order) if part)
    return Restored(where[spec.name], full.width, full.height, tiles, 0.0, artifact.key, method, remark)


def _order(frames: Sequence[Array]) -> str:
    """A warning if the frames of a bracket are not in the order of increasing exposure, as networks expect."""
    means = [float(frame.mean()) for frame in frames]
    if means == sorted(means):
        return ""
    told = ", ".join(f"{mean:.0f}" for mean in means)
    return f"the pictures do not become brighter (means {told} of 255): give the shortest exposure first"


def _at_once(
    bundle: Bundle, artifact: Artifact, given: Taken, where: dict[str, Path], request: RunRequest, progress: Progress
) -> Restored:
    del bundle
    progress("running the network", 0, 0)
    runner, method = usable_runner(artifact)
    inputs = pixels.tensors(given.sample, artifact.inputs)
    with open_worker(runner, artifact, request.threads, TIMEOUT_S) as worker:
        found = worker.outputs(inputs, [spec.name for spec in artifact.outputs])
    outputs = tuple(save(spec, found[spec.name], where[spec.name]) for spec in artifact.outputs)
    first = shapes.lead(artifact.outputs)
    height, width = next(each for each in outputs if each.name == first.name).size
    return Restored(where[first.name], width, height, 1, 0.0, artifact.key, method, given.read, outputs)


def _seams(picture: Size, cutting: tiling.Tiling) -> str:
    """A warning that tiles may differ, with an export that avoids tiles: every target supports a fixed size."""
    own = cutting.rounded(picture)
    if own.height * own.width <= MAX_PIXELS:
        return f"{_SEAMS}export with --size {own} to avoid tiles"
    return f"{_SEAMS}a copy of at most {MAX_PIXELS:,} pixels needs no tiles"


def tiling_of(bundle: Bundle, artifact: Artifact) -> tiling.Tiling:
    """The tiling of pictures for an artifact of a bundle."""
    model = model_of(bundle)
    return tiling.Tiling.of(model, model.scale, shapes.lead(artifact.inputs), model.crop)


def model_of(bundle: Bundle) -> ModelRecord:
    """Tiling facts of a bundle's network; for an old bundle ``whole_picture`` comes from the network, which imports
    torch.
    """
    model = bundle.manifest.model
    if model.whole_picture is not None:
        return model
    return model.model_copy(update={"whole_picture": NETWORKS.get(model.name).whole_picture})


def usable_runner(artifact: Artifact, *, patient: bool = True) -> tuple[str, str]:
    """The name and label of the runner for an artifact here; one that takes minutes for a picture only if no other can.

    Args:
        artifact: the file.
        patient: whether such a slow one may be used at all.

    Raises:
        BadInput: no usable runner; the message gives the reason for each.
    """
    reasons, slow = [], []
    for runner, obstacle in runners_of(artifact):
        tedious = too_large(runner, *_sides(artifact)) if obstacle is None else None
        if obstacle is None and tedious is None:
            return runner.name, method_of(runner, artifact)
        if tedious is not None:
            slow.append(runner)
        reasons.append(tedious or f"{runner.title}: {obstacle}")
    if slow and patient:
        return slow[0].name, method_of(slow[0], artifact)
    if slow:
        raise BadInput(f"{artifact.key}: {'; '.join(reasons)}")
    raise BadInput(f"{artifact.key} cannot be run here: {'; '.join(reasons) or 'clearport has no runner for it'}")


def _sides(artifact: Artifact) -> tuple[int, int]:
    """Height and width of an artifact's pictures; the maximum for dynamic sizes."""
    lead = shapes.lead(artifact.inputs)
    size = shapes.size_of(lead)
    if size is not None:
        return size.height, size.width
    return (1, MAX_PIXELS) if lead.dynamic else (1, 1)
