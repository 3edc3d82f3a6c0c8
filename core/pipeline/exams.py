"""The exams of a bundle's artifacts, from its manifest and golden files."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from clearport.base import scale_word
from clearport.bundle.files import MANIFEST
from clearport.errors import BadInput, CheckFailed
from clearport.graph import shapes
from clearport.pictures.images import load_rgb, load_stored
from clearport.pipeline.criteria import PHOTO, PROBE, QDQ, Criterion, Exam, as_picture, beside
from clearport.runtime import parity, parity_values, tolerance
from clearport.runtime.parity import ONNX_FILE, PYTORCH, Basis, Reference
from clearport.runtime.parity_values import ValuesReference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.base import Array, Artifact, Float32, TensorSpec
    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord, GoldenRecord
    from clearport.graph.feeds import Sample
    from clearport.pictures.images import Image8
    from clearport.pipeline.criteria import AnyReference
    from clearport.runtime.parity import Tolerance

INPUT = "input"
_OLD = "the bundle is older than goldens with float values: its float files are compared as 8-bit pictures"


def exams_of(bundle: Bundle, record: ArtifactRecord) -> list[Exam]:
    """Every sample that judges an artifact, the photo first; none without goldens.

    Limits are the manifest's, but never wider than the absolute ones of the precision. An int8 file is also compared
    with PyTorch's output, even if an old manifest has no such limit.

    Raises:
        BadInput: a golden file is missing or cannot be read.
        CheckFailed: the goldens' sizes differ from the manifest.
    """
    found = [_exam(bundle, record, name) for name in samples_in(bundle)]
    return [exam for exam in found if exam.criteria]


def exams_of_weights(bundle: Bundle, network: Artifact) -> list[Exam]:
    """Every sample for the network itself, which must still be the exported one, since it is the reference.

    Raises:
        BadInput: a golden file is missing or cannot be read.
        CheckFailed: the goldens' sizes differ from the manifest.
    """
    found = []
    for source in samples_in(bundle):
        sample, criteria = sample_of(bundle, source), []
        for golden in (golden for golden in _of(bundle, source) if golden.role == "float"):
            spec = _output(network.outputs, golden)
            limits = tolerance.tolerance_for("fp32", as_picture(spec) if spec.is_picture else spec)
            allowed = limits if source == INPUT else tolerance.eased(limits)
            criteria.append(Criterion(_reference(bundle, golden, sample), allowed, _basis(golden)))
        found.append(Exam(PHOTO if source == INPUT else PROBE, sample, tuple(criteria)))
    return [exam for exam in found if exam.criteria]


def exam_of(bundle: Bundle, record: ArtifactRecord) -> Exam | None:
    """The exam on the photo, for devices that run one sample; None if the artifact has no golden."""
    return next((exam for exam in exams_of(bundle, record) if exam.name == PHOTO), None)


def samples_in(bundle: Bundle) -> list[str]:
    """The samples of a bundle by the names of their first inputs, the photo first."""
    return list(dict.fromkeys(golden.input for golden in bundle.manifest.goldens if golden.role == INPUT))


def sample_of(bundle: Bundle, name: str = INPUT) -> Sample:
    """A sample: the inputs of every artifact.

    Raises:
        BadInput: no such sample, or one of its files is missing or cannot be read.
    """
    inputs = bundle.manifest.pixel_contract.inputs
    found = [golden for golden in bundle.manifest.goldens if golden.role == INPUT and golden.input == name]
    if not found:
        raise BadInput(f"{bundle.folder / MANIFEST}: goldens: no picture with role {INPUT!r}")
    return {_input(inputs, golden).name: _value(bundle, golden) for golden in found}


def limits_of(bundle: Bundle, record: ArtifactRecord, golden: GoldenRecord) -> Tolerance | None:
    """The tolerance of an artifact against a golden, as pictures if it is one; None: not judged by it."""
    if golden.role == INPUT:
        return None
    spec = _output(record.outputs, golden)
    asked = golden.tolerances.get(record.key)
    if record.precision == "int8" and golden.role == "float":
        judged = any(record.key in other.tolerances for other in _of(bundle, golden.input))
        if asked is None and not (judged and golden.input == INPUT):
            return None
        widest = tolerance.quantization_for(spec)
        return (asked or widest).within(widest)
    if asked is None:
        return None
    widest = tolerance.widest_for(record.precision, as_picture(spec) if spec.is_picture else spec)
    return asked.within(widest if golden.input == INPUT else tolerance.eased(widest))


def _of(bundle: Bundle, name: str) -> list[GoldenRecord]:
    return [golden for golden in bundle.manifest.goldens if golden.role != INPUT and golden.input == name]


def _input(specs: Sequence[TensorSpec], golden: GoldenRecord) -> TensorSpec:
    """The input of a golden: by its name, or the one that determines the size."""
    return next((spec for spec in specs if spec.name == golden.tensor), shapes.lead(specs))


def _output(specs: Sequence[TensorSpec], golden: GoldenRecord) -> TensorSpec:
    return next((spec for spec in specs if spec.name == golden.tensor), specs[0])


def _basis(golden: GoldenRecord) -> Basis:
    return "8-bit pictures" if golden.kind == "picture" else parity_values.BASIS


def _exam(bundle: Bundle, record: ArtifactRecord, source: str) -> Exam:
    sample = sample_of(bundle, source)
    judges = sorted(_of(bundle, source), key=lambda golden: golden.role != record.precision)
    criteria = [c for golden in judges for c in _criteria(bundle, record, golden, sample)]
    pictures = [golden for golden in judges if golden.kind == "picture"]
    old = record.precision != "int8" and bool(pictures) and not any(golden.values for golden in pictures)
    proven = _beside(bundle, source, sample) if record.precision == "int8" else ()
    name, remark = PHOTO if source == INPUT else PROBE, _OLD if old and criteria else ""
    return Exam(name, sample, tuple(criteria), remark, proven)


def _beside(bundle: Bundle, source: str, sample: Sample) -> tuple[Criterion, ...]:
    """The criteria of an int8 file with proven steps, for each output with both references."""
    found = {(golden.role, golden.tensor): golden for golden in _of(bundle, source)}
    both = [tensor for role, tensor in found if role == "int8" and ("float", tensor) in found]
    pairs = [(found["float", tensor], found["int8", tensor]) for tensor in both]
    return tuple(beside(*(_reference(bundle, golden, sample) for golden in pair)) for pair in pairs)


def _criteria(bundle: Bundle, record: ArtifactRecord, golden: GoldenRecord, sample: Sample) -> list[Criterion]:
    limits = limits_of(bundle, record, golden)
    if limits is None:
        return []
    reference = _reference(bundle, golden, sample)
    found = [Criterion(reference, limits, _basis(golden))]
    asked = golden.value_tolerances.get(record.key)
    if asked is not None and isinstance(reference, Reference) and reference.values is not None:
        widest = tolerance.widest_for(record.precision, _output(record.outputs, golden))
        widest = widest if golden.input == INPUT else tolerance.eased(widest)
        found.insert(0, Criterion(reference, asked.within(widest), "real values"))
    return found


def _reference(bundle: Bundle, golden: GoldenRecord, sample: Sample) -> AnyReference:
    expected = _value(bundle, golden)
    spec = _output(bundle.manifest.pixel_contract.outputs, golden)
    if golden.kind != "picture":
        return ValuesReference(_name(bundle, golden.role), golden.tensor, expected, spec.judged_by)
    _check_size(bundle, golden, spec, sample, expected)
    values = _values(bundle.path(golden.values), golden, expected) if golden.values else None
    grid = Fraction(bundle.manifest.model.scale).numerator
    return Reference(_name(bundle, golden.role), expected.astype(np.float32), values, grid, golden.tensor)


def _name(bundle: Bundle, role: str) -> str:
    """The name of a role's reference, which depends on the network file in the bundle."""
    return QDQ if role == "int8" else ONNX_FILE if bundle.manifest.model.from_onnx else PYTORCH


def _check_size(bundle: Bundle, golden: GoldenRecord, spec: TensorSpec, sample: Sample, expected: Image8) -> None:
    """Check sizes: the first picture is ``scale`` times the input; others follow their contract."""
    first, model = next(iter(sample.values())), bundle.manifest.model
    own, contract = shapes.size_of(spec), bundle.manifest.pixel_contract
    is_first = golden.tensor in {"", shapes.lead(contract.outputs).name}
    if is_first and first.ndim == _PICTURE_AXES and shapes.lead(contract.inputs).is_picture:
        wanted: tuple[object, ...] = tuple(side * model.scale - model.crop for side in first.shape[:2])
        less = f" less {model.crop}" if model.crop else ""
        of = f"x{scale_word(model.scale)} of its input{less} is {wanted[0]}x{wanted[1]}"
    elif own is not None:
        wanted, of = (own.height, own.width), f"its contract says {own}"
    else:
        return
    if expected.shape[:2] != wanted:
        got = "x".join(map(str, expected.shape[:2]))
        raise CheckFailed(f"{golden.path}: it has {got} pixels, and {of}")


_PICTURE_AXES = 3


def _value(bundle: Bundle, golden: GoldenRecord) -> Array:
    """The content of a golden: pixels (H, W, C), or real values.

    Raises:
        BadInput: it cannot be read, or has the wrong shape or type.
    """
    path = bundle.path(golden)
    specs = bundle.manifest.pixel_contract
    spec = (_input if golden.role == INPUT else _output)(
        specs.inputs if golden.role == INPUT else specs.outputs, golden
    )
    if golden.path.endswith(".png"):
        return load_rgb(path) if spec.color in {"RGB", "BGR"} else load_stored(path)
    array = _tensors(path, golden.name)
    integers = "u" if golden.kind == "picture" else "i" if golden.kind == "index" else "f"
    if array.dtype.kind != integers or array.ndim != (_PICTURE_AXES if golden.kind == "picture" else len(spec.shape)):
        raise BadInput(f"{path}: {golden.name}: expected {golden.kind} of shape {spec.shape}, got {array.dtype}")
    return array


def _tensors(path: Path, name: str) -> Array:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: Array = load_file(path)[name]
    except (SafetensorError, KeyError, OSError, AttributeError) as error:
        raise BadInput(f"{path}: expected the values of golden picture {name!r} ({error})") from error
    return found


def _values(path: Path, golden: GoldenRecord, expected: Image8) -> Float32:
    """PyTorch's values at some pixels; they must match the picture."""
    values = _tensors(path, golden.name)
    kept = parity.positions(*expected.shape[:2])
    shown = expected.reshape(-1, expected.shape[2])[kept]
    if values.dtype != np.float32 or values.shape != shown.shape or not np.isfinite(values).all():
        raise BadInput(f"{path}: {golden.name}: expected {shown.shape} finite float32 numbers, got {values.shape}")
    if not np.array_equal(np.clip(np.rint(values), 0, 255), shown):
        raise CheckFailed(f"{path}: {golden.name}: the values do not match {golden.path}")
    return values
