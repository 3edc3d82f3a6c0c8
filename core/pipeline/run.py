"""A picture of any size through one artifact of a bundle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import BadInput, Size
from clearport.bundle.folder import Bundle
from clearport.disk import ours
from clearport.disk.outputs import OutFile, claimed
from clearport.pictures.images import MAX_PIXELS, as_grey, load_picture
from clearport.pipeline.prove import TIMEOUT_S, open_worker
from clearport.protocols import no_progress
from clearport.registry import NETWORKS
from clearport.runtime import tiling
from clearport.runtime.tiling_png import save_strips
from clearport.runtime.usable import runners_of

if TYPE_CHECKING:
    from clearport.base import Artifact
    from clearport.bundle.manifest import ModelRecord
    from clearport.protocols import Progress


_GREY = "the picture is grey, and so is what was written: the luma of what the network gave"
_SEAMS = "this network looks at the whole picture, and saw it in tiles: they may differ in tone; "


@dataclass(frozen=True)
class RunRequest:
    """What to restore, and with what; see ``clearport run --help``. ``variant`` None: the plain one, or the first."""

    folder: Path
    picture: Path
    output: Path
    target: str = "tflite"
    precision: str = "int8"
    variant: str | None = None
    threads: int = 1


@dataclass(frozen=True)
class Restored:
    """Where the restored picture is, its size in pixels, and what it took.

    ``method`` is how the artifact was run; ``remark`` is what the user should know of the result, if anything.
    """

    output: Path
    width: int
    height: int
    tiles: int
    seconds: float
    artifact: str
    method: str
    remark: str = ""


def restore_picture(request: RunRequest, progress: Progress = no_progress) -> Restored:
    """Restore a picture, in seamless tiles where it has another size than the artifact, and write it as PNG.

    Raises:
        BadInput: no such bundle, artifact or picture, the artifact was changed, no runtime for it here, or the output
            cannot be written.
        RuntimeFailure: the runtime failed on the artifact.
    """
    if request.output.suffix.lower() != ".png":
        raise BadInput(f"{request.output}: the restored picture is written as PNG; give a name that ends in .png")
    wanted = OutFile(request.output, "--output", "a picture that clearport wrote", partial(ours.is_png, marked=True))
    with claimed(wanted, reads=(request.folder, request.picture)):
        return _restored(request, progress)


def _restored(request: RunRequest, progress: Progress) -> Restored:
    began = time.monotonic()
    bundle = Bundle.load(request.folder)
    record = bundle.find(request.target, request.precision, request.variant)
    if changed := [mismatch for mismatch in bundle.verify_files() if record.holds(mismatch.path)]:
        raise BadInput(f"{request.folder}: {changed[0]}; to see all that is wrong: clearport verify {request.folder}")
    artifact = bundle.artifact(record)
    loaded = load_picture(request.picture)
    picture = loaded.pixels
    cutting = tiling_of(bundle, artifact)
    height, width = picture.shape[:2]
    tiles = tiling.plan(Size(height, width), cutting).tiles
    runner, method = usable_runner(artifact)
    with open_worker(runner, artifact, request.threads, TIMEOUT_S) as worker:
        infer = tiling.engine(worker, artifact)
        strips = tiling.strips(picture, infer, cutting, lambda done, total: progress("restoring tiles", done, total))
        full = Size(height * cutting.scale, width * cutting.scale)
        save_strips(request.output, full, map(as_grey, strips) if loaded.grey else strips)
    seconds = time.monotonic() - began
    whole = tiles > 1 and model_of(bundle).whole_picture
    seams = _seams(Size(height, width), cutting) if whole else ""
    read = f"of the picture: {', '.join(loaded.remarks)}" if loaded.remarks else ""
    remark = "; ".join(part for part in (read, _GREY if loaded.grey else "", seams) if part)
    return Restored(request.output, full.width, full.height, tiles, seconds, artifact.key, method, remark)


def _seams(picture: Size, cutting: tiling.Tiling) -> str:
    """That tiles may differ, and what sees the picture at once: an own size is taken by every target."""
    own = cutting.rounded(picture)
    if own.height * own.width <= MAX_PIXELS:
        return f"{_SEAMS}a bundle that was exported with --size {own} sees it at once"
    return f"{_SEAMS}a smaller copy of the picture, of at most {MAX_PIXELS:,} pixels, can be seen at once"


def tiling_of(bundle: Bundle, artifact: Artifact) -> tiling.Tiling:
    """How pictures are cut for an artifact of a bundle."""
    model = model_of(bundle)
    return tiling.Tiling.of(model, model.scale, artifact.inputs[0])


def model_of(bundle: Bundle) -> ModelRecord:
    """What a bundle says of its network; an old one leaves ``whole_picture`` to the network, which imports torch."""
    model = bundle.manifest.model
    if model.whole_picture is not None:
        return model
    return model.model_copy(update={"whole_picture": NETWORKS.get(model.name).whole_picture})


def usable_runner(artifact: Artifact) -> tuple[str, str]:
    """The name of the runner that runs an artifact here, and how it is labelled.

    Raises:
        BadInput: there is none; the message says why for each.
    """
    reasons = []
    for runner, obstacle in runners_of(artifact.target):
        if obstacle is None:
            return runner.name, runner.method
        reasons.append(f"{runner.title}: {obstacle}")
    raise BadInput(f"{artifact.key} cannot be run here: {'; '.join(reasons) or 'no runner of clearport takes it'}")
