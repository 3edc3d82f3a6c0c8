"""The exams of a bundle's artifacts, as its manifest and its golden files have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clearport.base import BadInput, CheckFailed
from clearport.pictures.images import load_rgb
from clearport.pipeline.criteria import PHOTO, PROBE, PYTORCH, QDQ, Criterion, Exam, as_picture
from clearport.runtime import parity, tolerance
from clearport.runtime.parity import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import Artifact, Float32
    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord, GoldenRecord
    from clearport.pictures.images import Image8
    from clearport.runtime.parity import Tolerance

INPUT = "input"
_NAMES = {"float": PYTORCH, "int8": QDQ}
_OLD = "the bundle was written before goldens kept numbers: its float files are judged as 8-bit pictures"


def exams_of(bundle: Bundle, record: ArtifactRecord) -> list[Exam]:
    """Every picture that judges an artifact, the photo first; none where no golden picture does.

    Limits are those of the manifest, and never wider than the absolute ones of the precision. An int8 file is judged by
    PyTorch's output too, also where an old manifest does not ask for it.

    Raises:
        BadInput: a golden file is missing or cannot be read.
        CheckFailed: the golden pictures do not have the sizes that the manifest says.
    """
    inputs = [golden for golden in bundle.manifest.goldens if golden.role == INPUT]
    found = [_exam(bundle, record, golden) for golden in inputs]
    return [exam for exam in found if exam.criteria]


def exams_of_weights(bundle: Bundle, network: Artifact) -> list[Exam]:
    """The same for the network by PyTorch, which must still be the one that was exported: it judges all others.

    Raises:
        BadInput: a golden file is missing or cannot be read.
        CheckFailed: the golden pictures do not have the sizes that the manifest says.
    """
    limits = tolerance.tolerance_for("fp32", as_picture(network.outputs[0]))
    found = []
    for source in (golden for golden in bundle.manifest.goldens if golden.role == INPUT):
        picture = load_rgb(bundle.path(source))
        name, allowed = (PHOTO, limits) if source.name == INPUT else (PROBE, tolerance.eased(limits))
        judges = [_reference(bundle, golden, picture) for golden in _of(bundle, source.name) if golden.role == "float"]
        found.append(Exam(name, picture, tuple(Criterion(judge, allowed, "8-bit pictures") for judge in judges)))
    return [exam for exam in found if exam.criteria]


def exam_of(bundle: Bundle, record: ArtifactRecord) -> Exam | None:
    """The exam on the photo, for devices that run one picture; None where no golden picture judges the artifact."""
    return next((exam for exam in exams_of(bundle, record) if exam.name == PHOTO), None)


def limits_of(bundle: Bundle, record: ArtifactRecord, golden: GoldenRecord) -> Tolerance | None:
    """How far an artifact may be from a golden picture, as pictures; None: it is not judged by it."""
    widest = tolerance.widest_for(record.precision, as_picture(record.outputs[0]))
    if golden.role == INPUT:
        return None
    if record.precision == "int8" and golden.role == "float":
        asked = golden.tolerances.get(record.key)
        judged = any(record.key in other.tolerances for other in _of(bundle, golden.input))
        if asked is None and not (judged and golden.input == INPUT):
            return None
        return (asked or tolerance.QUANTIZATION).within(tolerance.QUANTIZATION)
    asked = golden.tolerances.get(record.key)
    if asked is None:
        return None
    return asked.within(widest if golden.input == INPUT else tolerance.eased(widest))


def _of(bundle: Bundle, name: str) -> list[GoldenRecord]:
    return [golden for golden in bundle.manifest.goldens if golden.role != INPUT and golden.input == name]


def _exam(bundle: Bundle, record: ArtifactRecord, source: GoldenRecord) -> Exam:
    picture = load_rgb(bundle.path(source))
    judges = sorted(_of(bundle, source.name), key=lambda golden: golden.role != record.precision)
    criteria = [c for golden in judges for c in _criteria(bundle, record, golden, picture)]
    old = record.precision != "int8" and not any(golden.values for golden in judges)
    name = PHOTO if source is bundle.golden(INPUT) else PROBE
    return Exam(name, picture, tuple(criteria), _OLD if old and criteria else "")


def _criteria(bundle: Bundle, record: ArtifactRecord, golden: GoldenRecord, picture: Image8) -> list[Criterion]:
    limits = limits_of(bundle, record, golden)
    if limits is None:
        return []
    reference = _reference(bundle, golden, picture)
    found = [Criterion(reference, limits, "8-bit pictures")]
    asked = golden.value_tolerances.get(record.key)
    if asked is not None and reference.values is not None:
        widest = tolerance.widest_for(record.precision, record.outputs[0])
        widest = widest if golden.input == INPUT else tolerance.eased(widest)
        found.insert(0, Criterion(reference, asked.within(widest), "real values"))
    return found


def _reference(bundle: Bundle, golden: GoldenRecord, picture: Image8) -> Reference:
    expected, grid = load_rgb(bundle.path(golden)), bundle.manifest.model.scale
    wanted = (picture.shape[0] * grid, picture.shape[1] * grid)
    if expected.shape[:2] != wanted:
        got = "x".join(map(str, expected.shape[:2]))
        raise CheckFailed(f"{golden.path}: it has {got} pixels, and x{grid} of its input is {wanted[0]}x{wanted[1]}")
    values = _values(bundle.path(golden.values), golden, expected) if golden.values else None
    return Reference(_NAMES[golden.role], expected.astype(np.float32), values, grid)


def _values(path: Path, golden: GoldenRecord, expected: Image8) -> Float32:
    """PyTorch's numbers at some pixels; they must be those of the picture."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        values = load_file(path)[golden.name]
    except (SafetensorError, KeyError, OSError) as error:
        raise BadInput(f"{path}: expected the values of golden picture {golden.name!r} ({error})") from error
    kept = parity.positions(*expected.shape[:2])
    shown = expected.reshape(-1, 3)[kept]
    if values.dtype != np.float32 or values.shape != shown.shape or not np.isfinite(values).all():
        raise BadInput(f"{path}: {golden.name}: expected {shown.shape} finite float32 numbers, got {values.shape}")
    if not np.array_equal(np.clip(np.rint(values), 0, 255), shown):
        raise CheckFailed(f"{path}: {golden.name}: the numbers are not those of {golden.path}")
    return values
