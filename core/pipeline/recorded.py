"""Whether a manifest's statements agree with the bundle's network, files and goldens.

Checksums only show that a manifest was not changed after it was written; these checks hold for any manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.bundle.files import WEIGHTS
from clearport.errors import BadInput
from clearport.pipeline.criteria import PROBE, QDQ
from clearport.registry import NETWORKS
from clearport.reports.junit import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord, ModelRecord
    from clearport.model_spec import ModelSpec
    from clearport.pipeline.criteria import Exam

_MOST_NAMED = 3
_ON_PROBE = f", on the {PROBE}"


def recorded_checks(bundle: Bundle) -> list[Check]:
    """The failed checks of a manifest as a whole: it has artifacts, its files belong to it, its network is its own."""
    said = [*_nothing(bundle), *_strays(bundle), *_network(bundle), *_scales(bundle)]
    return [Check("manifest", False, problem, group="manifest") for problem in said]


def _nothing(bundle: Bundle) -> Iterator[str]:
    if not bundle.artifacts:
        yield "it lists no artifact, so there is nothing to prove"


def _strays(bundle: Bundle) -> Iterator[str]:
    """Files that the manifest lists, and no part of it names."""
    manifest = bundle.manifest
    known = {manifest.model.reference}
    known |= {path for golden in manifest.goldens for path in (golden.path, golden.values) if path}
    if manifest.quantization:
        known |= {manifest.quantization.table, manifest.quantization.reference}
    found = [
        name for name in manifest.files if name not in known and not any(a.holds(name) for a in manifest.artifacts)
    ]
    if found:
        yield f"no artifact or golden picture in it is {_few(found)}, which 'files' lists"


def _scales(bundle: Bundle) -> Iterator[str]:
    """Scales in the table otherwise than in the quantized model, against which int8 files are proven."""
    told = bundle.manifest.quantization
    if told is None or not all((bundle.folder / name).is_file() for name in (told.table, told.reference)):
        return
    from google.protobuf.message import DecodeError

    from clearport.quantize import followed, table

    try:
        entries = table.load(bundle.folder / told.table)
        written = followed.read_parameters(bundle.folder / told.reference)
    except (BadInput, DecodeError) as error:
        yield f"{told.table}, {told.reference}: {error}"
        return
    found = followed.contradictions(entries, written)
    if found:
        yield f"{told.table} and {told.reference} differ in the scales of {_few(found)}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def _network(bundle: Bundle) -> Iterator[str]:
    """What the manifest says otherwise than the weights file and the network of that name."""
    model = bundle.manifest.model
    path = bundle.folder / WEIGHTS
    if model.reference != WEIGHTS or not path.is_file():
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        yield f"{WEIGHTS}: not a weights file: {error}"
        return
    named, scale = about.get("network", ""), about.get("scale", "")
    if (named, scale) != (model.name, str(model.scale)):
        yield f"model: {model.name} x{model.scale}, and {WEIGHTS} is of {named or 'no network'} x{scale}"
        return
    try:
        spec = NETWORKS.get(named)
    except BadInput as error:
        yield f"model.name: {error}"
        return
    yield from _facts(model, spec)


def _facts(model: ModelRecord, spec: ModelSpec) -> Iterator[str]:
    if model.task != spec.task:
        yield f"model.task: {model.task}, and {spec.name} is for {spec.task}"
    if model.whole_picture not in {None, spec.whole_picture}:
        yield f"model.whole_picture: {model.whole_picture}, and that of {spec.name} is {spec.whole_picture}"
    if model.halo < spec.halo:
        yield f"model.halo: {model.halo} pixels, and {spec.name} needs {spec.halo}: tiles would have seams"
    if model.size_multiple % spec.size_multiple:
        yield f"model.size_multiple: {model.size_multiple}, and that of {spec.name} is {spec.size_multiple}"


def unproven(record: ArtifactRecord, exams: Sequence[Exam], *, quantized: bool) -> list[Check]:
    """Proofs that the export recorded as failed, or made against something that the bundle no longer has.

    Args:
        record: the artifact.
        exams: what the bundle's goldens allow to prove.
        quantized: whether the bundle has the quantized model for int8 steps.
    """
    said = [f"the export recorded a failed proof: {'; '.join(r.failures)}" for r in record.parities if not r.passed]
    said += [f"the export proved it on {lost}, which the bundle's goldens lack" for lost in _lost(record, exams)]
    if record.steps and not quantized:
        said.append("the export proved its int8 steps against a quantized model, which the bundle lacks")
    return [Check("proof", False, problem, group=record.key) for problem in dict.fromkeys(said)]


def _lost(record: ArtifactRecord, exams: Sequence[Exam]) -> Iterator[str]:
    there = {exam.name: exam for exam in exams}
    for report in record.parities:
        sample = PROBE if report.reference.endswith(_ON_PROBE) else next(iter(there), "")
        criteria = there[sample].criteria if sample in there else ()
        if sample not in there:
            yield f"the {sample or 'photo'}"
        elif report.basis == "real values" and not any(c.basis == report.basis for c in criteria):
            yield f"PyTorch's real values for the {sample}"
        elif report.reference.removesuffix(_ON_PROBE) == QDQ and not any(c.reference.name == QDQ for c in criteria):
            yield f"the quantized model's output for the {sample}"
