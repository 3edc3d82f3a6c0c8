"""Arguments of ``clearport compare`` -> artifacts: files of any format, or of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.base import Artifact, Size
from clearport.bundle.folder import Bundle
from clearport.disk import ours
from clearport.disk.files import digest
from clearport.errors import BadInput
from clearport.pipeline.formats.read import FORMS, described, readable
from clearport.runtime.pixels import image_size

if TYPE_CHECKING:
    from clearport.base import TensorSpec
    from clearport.pipeline.formats.described import Described

Span = tuple[float, float]


@dataclass(frozen=True)
class Side:
    """One file: the argument, the artifact, and its description."""

    word: str
    artifact: Artifact
    file: Described


def side_of(word: str, span: Span | None) -> Side:
    """``FILE``, or ``BUNDLE:TARGET/PRECISION[/VARIANT]``; ``span``: values of black and full intensity of a float file
    outside a bundle.

    Raises:
        BadInput: no such file or artifact, or its input or output is not one picture.
    """
    folder, colon, key = word.rpartition(":")
    if colon and ours.is_bundle(Path(folder)):
        target, _, rest = key.partition("/")
        precision, _, variant = rest.partition("/")
        bundle = Bundle.load(Path(folder))
        artifact = bundle.artifact(bundle.find(target, precision, variant or None))
    else:
        artifact = _in_bundle(Path(word)) or _alone(Path(word), span)
    for specs, what in ((artifact.inputs, "takes"), (artifact.outputs, "gives")):
        if len(specs) != 1 or not specs[0].is_picture:
            told = ", ".join(f"{spec.name} {spec.shape}" for spec in specs)
            raise BadInput(
                f"{word}: it {what} {told}; compare is for files with one picture as input and one as output"
            )
    file = described(artifact.path)
    return Side(word, artifact, file)


def _in_bundle(path: Path) -> Artifact | None:
    """The artifact of a bundle at a path, as described by the manifest; None if it is in no bundle."""
    for folder in path.absolute().parents[:3]:
        if ours.is_bundle(folder):
            bundle = Bundle.load(folder)
            name = path.absolute().relative_to(folder).as_posix()
            return next((bundle.artifact(record) for record in bundle.artifacts if record.path == name), None)
    return None


def _alone(path: Path, span: Span | None) -> Artifact:
    if not readable(path):
        raise BadInput(f"{path}: expected {FORMS}, or BUNDLE:TARGET/PRECISION, as in out/x3:tflite/int8")
    file = described(path)
    inputs, outputs = (tuple(_meaning(path, spec, span) for spec in specs) for specs in (file.inputs, file.outputs))
    whole = any(spec.dtype in {"uint8", "int8"} for spec in (*inputs, *outputs))
    return Artifact(file.target, "int8" if whole else "fp32", path.absolute(), digest(path), inputs, outputs, {})


def _meaning(path: Path, spec: TensorSpec, span: Span | None) -> TensorSpec:
    if spec.value_range is not None or not spec.is_picture:
        return spec
    if span is None:
        raise BadInput(
            f"{path}: the value range of {spec.name!r} is unknown; give the values of black and full intensity, as in "
            f"--range 0..1"
        )
    return replace(spec, value_range=span)


def common_size(sides: tuple[Side, Side], available: Size) -> Size:
    """The input size that both accept, at most ``available`` if both are dynamic.

    Raises:
        BadInput: there is none.
    """
    found: list[int] = []
    for axis, most in enumerate((available.height, available.width)):
        fixed = {n for side in sides if isinstance(n := image_size(side.artifact.inputs[0])[axis], int)}
        if len(fixed) > 1:
            sizes = " and ".join("x".join(map(str, image_size(side.artifact.inputs[0]))) for side in sides)
            raise BadInput(f"inputs of {sizes} cannot be compared; export both for one --size")
        found.append(next(iter(fixed), most))
    size = Size(*found)
    if size.height > available.height or size.width > available.width:
        raise BadInput(f"both need {size}, but the picture has {available}: give a larger one")
    return size
