"""``clearport kit``: source code for an app around one artifact, with a self-test on the bundle's golden pictures.

A system has kits, too (``systems/kit.py``).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import Size
from clearport.bundle.files import MANIFEST, SUMS
from clearport.bundle.folder import Bundle
from clearport.bundle.system import System, is_system
from clearport.disk.files import atomic_path, files_below, write_bytes, write_text
from clearport.disk.outputs import OutBundle, claimed
from clearport.errors import BadInput
from clearport.graph import shapes
from clearport.pictures.images import load_rgb
from clearport.pipeline.exams import INPUT, limits_of
from clearport.pipeline.isolated.workers import TIMEOUT_S, open_worker
from clearport.pipeline.run import tiling_of
from clearport.pipeline.select import plain_scale
from clearport.pipeline.systems.kit import chosen_row, write_kit_of
from clearport.protocols import no_progress
from clearport.reports.kits import KITS, kit_texts
from clearport.reports.systems.kits import COMMAND
from clearport.reports.usage import opened
from clearport.runtime import tiling
from clearport.runtime.usable import runners_of

if TYPE_CHECKING:
    from clearport.bundle.manifest import ArtifactRecord, GoldenRecord
    from clearport.pictures.images import Image8
    from clearport.protocols import Progress
    from clearport.runtime.parity import Tolerance

LANGUAGES = tuple(dict.fromkeys(language for language, _ in KITS))
PHOTO, TILES = "photo", "tiles"


@dataclass(frozen=True)
class KitRequest:
    """A kit for ``language``; empty ``target`` and ``precision``: the first target of the language, and int8 if
    available.
    """

    folder: Path
    language: str
    out: Path
    target: str = ""
    precision: str = ""
    variant: str | None = None


@dataclass(frozen=True)
class KitMade:
    """A kit: its folder and files, and the reason that it has no golden test of several tiles (empty: it has)."""

    folder: Path
    artifact: str
    files: tuple[str, ...]
    command: str
    without_tiles: str


@dataclass(frozen=True)
class _Goldens:
    """Name -> input and expected output, with the tolerance."""

    pairs: dict[str, tuple[Image8, Image8]]
    allowed: Tolerance
    without_tiles: str


def write_kit(request: KitRequest, progress: Progress = no_progress) -> KitMade:
    """Write a kit to ``out``, a new or empty folder.

    Raises:
        BadInput: no kit for this language, target or network, or the folder cannot be written.
    """
    if is_system(request.folder):
        return _of_system(request)
    target = _target(request)
    bundle = Bundle.load(request.folder)
    plain_scale(bundle, "kit")
    record = _record(bundle, target, request)
    with claimed(OutBundle(request.out), reads=(request.folder,)), atomic_path(request.out) as place:
        _check_files(bundle, record)
        progress("making the goldens", 0, 0)
        goldens = _goldens(bundle, record)
        file = _copied(bundle, record, place / "model")
        for name, (given, wanted) in goldens.pairs.items():
            _write_ppm(place / "goldens" / f"{name}_input.ppm", given)
            _write_ppm(place / "goldens" / f"{name}_expected.ppm", wanted)
        texts = kit_texts(bundle.manifest, record, request.language, file, tuple(goldens.pairs), goldens.allowed)
        for name, text in texts.items():
            write_text(place / name, text)
        files = tuple(path.relative_to(place).as_posix() for path in files_below(place))
    command = KITS[request.language, target].command
    return KitMade(request.out, record.key, files, command, goldens.without_tiles)


def _of_system(request: KitRequest) -> KitMade:
    system = System.load(request.folder)
    row = chosen_row(system, request.language, request.target, request.precision, request.variant)
    with claimed(OutBundle(request.out), reads=(request.folder,)), atomic_path(request.out) as place:
        place.mkdir(parents=True)
        write_kit_of(system, row, place)
        files = tuple(path.relative_to(place).as_posix() for path in files_below(place))
    return KitMade(request.out, row.key, files, COMMAND, "")


def _target(request: KitRequest) -> str:
    targets = [target for language, target in KITS if language == request.language]
    if not targets:
        raise BadInput(f"--language {request.language!r}: expected one of {', '.join(LANGUAGES)}")
    if request.target and request.target not in targets:
        raise BadInput(
            f"--target {request.target!r}: kits in {request.language} are for {', '.join(targets)}; the report of the "
            "bundle has code for other targets"
        )
    return request.target or targets[0]


def _record(bundle: Bundle, target: str, request: KitRequest) -> ArtifactRecord:
    """The artifact of the requested precision, else int8, else fp16."""
    there = {artifact.precision for artifact in bundle.artifacts if artifact.target == target}
    wanted = ("fp16", "fp32") if request.language == "swift" else ("int8", "fp16", "fp32")
    precision = request.precision or next((each for each in wanted if each in there), wanted[0])
    record = bundle.find(target, precision, request.variant)
    if record.inputs[0].dynamic:
        raise BadInput(
            f"{bundle.folder}: {record.key} has a dynamic size; a kit needs a fixed one for its tiles, to bound "
            "memory: export again with --size HEIGHTxWIDTH"
        )
    if failed := [failure for report in record.parities for failure in report.failures]:
        raise BadInput(f"{bundle.folder}: {record.key} failed its proof ({'; '.join(failed)}), so there is no kit")
    return record


def _check_files(bundle: Bundle, record: ArtifactRecord) -> None:
    """Check the artifact and the data of its self-test: golden pictures and the limits in the manifest."""
    judging = {MANIFEST, SUMS, *(golden.path for golden in bundle.manifest.goldens)}
    for mismatch in bundle.verify_files():
        if record.holds(mismatch.path) or mismatch.path in judging:
            raise BadInput(f"{bundle.folder}: {mismatch}; for the full list: clearport verify {bundle.folder}")


def _goldens(bundle: Bundle, record: ArtifactRecord) -> _Goldens:
    """The golden photo, and a picture of several tiles if a runtime here can compute the file's output for it."""
    photo = load_rgb(bundle.path(bundle.golden(INPUT)))
    golden = _expected(bundle, record)
    allowed = limits_of(bundle, record, golden)
    if allowed is None:
        raise BadInput(f"{bundle.folder}: {record.key} has no golden picture to test a kit with")
    pairs = {PHOTO: (photo, load_rgb(bundle.path(golden)))}
    made = _tiled(bundle, record, photo)
    if isinstance(made, str):
        return _Goldens(pairs, allowed, made)
    return _Goldens({**pairs, TILES: made}, allowed, "")


def _expected(bundle: Bundle, record: ArtifactRecord) -> GoldenRecord:
    role = "int8" if record.precision == "int8" else "float"
    return next(
        (golden for golden in bundle.manifest.goldens if golden.role == role and golden.input == INPUT),
        bundle.golden("float"),
    )


def _tiled(bundle: Bundle, record: ArtifactRecord, photo: Image8) -> tuple[Image8, Image8] | str:
    """A picture larger than the file's input and its output, or the reason that there is none."""
    artifact = bundle.artifact(record)
    cutting = tiling_of(bundle, artifact)
    if cutting.uncuttable:
        return "the receptive field is too large to process larger pictures in tiles"
    runner = next((r for r, obstacle in runners_of(record) if obstacle is None and r.measures_latency), None)
    if runner is None:
        return f"no runtime for {record.target} files on this machine"
    size = shapes.size_of(shapes.lead(artifact.inputs)) or Size(*photo.shape[:2])
    more = ((0, size.height // 2 + 3), (0, size.width // 3 + 5), (0, 0))
    given = np.pad(photo, more, "symmetric")
    with open_worker(runner.name, artifact, 1, TIMEOUT_S) as worker:
        return given, tiling.restore(given, tiling.engine(worker, artifact), cutting)


def _copied(bundle: Bundle, record: ArtifactRecord, place: Path) -> str:
    """Copy the artifact; returns the path that a runtime opens, relative to ``place``."""
    source = bundle.path(record)
    place.mkdir(parents=True)
    if source.is_dir():
        shutil.copytree(source, place / source.name)
    else:
        shutil.copyfile(source, place / source.name)
    return Path(opened(bundle.manifest, record)).relative_to(Path(record.path).parent).as_posix()


def _write_ppm(path: Path, picture: Image8) -> None:
    """Write an 8-bit binary PPM, which every language reads in a few lines."""
    path.parent.mkdir(exist_ok=True)
    height, width = picture.shape[:2]
    write_bytes(path, f"P6\n{width} {height}\n255\n".encode() + np.ascontiguousarray(picture).tobytes())
