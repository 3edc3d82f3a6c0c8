"""Whether the parts of a manifest agree with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.bundle.contract import contract_contradictions
from clearport.bundle.files import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clearport.bundle.manifest import Manifest


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Inconsistencies within a manifest, as ``field: problem``."""
    keys = {artifact.key for artifact in manifest.artifacts}
    for i, artifact in enumerate(manifest.artifacts):
        for other in manifest.artifacts[:i]:
            if other.key == artifact.key:
                yield f"artifacts.{i}: {artifact.key} is listed twice"
            elif other.holds(artifact.path) or artifact.holds(other.path):
                yield f"artifacts.{i}.path: {artifact.path} belongs to {other.key} already"
        if digest_of(artifact.path, manifest.files) != artifact.sha256:
            yield f"artifacts.{i}.sha256: {artifact.key} has another checksum than 'files' gives for {artifact.path}"
    if manifest.files.get(manifest.model.reference) != manifest.model.weights_sha256:
        yield f"model.weights_sha256: differs from the checksum in 'files' for {manifest.model.reference}"
    model, contract = manifest.model, manifest.pixel_contract
    ends = [(artifact.inputs, artifact.outputs) for artifact in manifest.artifacts]
    yield from contract_contradictions(model, (contract.inputs, contract.outputs), ends)
    yield from _golden_contradictions(manifest, keys)
    for name in ("table", "reference") if manifest.quantization else ():
        path = getattr(manifest.quantization, name)
        if path not in manifest.files:
            yield f"quantization.{name}: {path} is not among 'files'"


def _golden_contradictions(manifest: Manifest, keys: set[str]) -> Iterator[str]:
    inputs = {golden.name for golden in manifest.goldens if golden.role == "input"}
    for i, golden in enumerate(manifest.goldens):
        if manifest.files.get(golden.path) != golden.sha256:
            yield f"goldens.{i}.sha256: {golden.name} has another checksum than 'files' gives for {golden.path}"
        for unknown in sorted({*golden.tolerances, *golden.value_tolerances} - keys):
            yield f"goldens.{i}.tolerances: {unknown!r} is not an artifact of this bundle"
        if golden.values is not None and golden.values not in manifest.files:
            yield f"goldens.{i}.values: {golden.values} is not among 'files'"
        if golden.input not in inputs:
            yield f"goldens.{i}.input: there is no input picture {golden.input!r}"
        if golden.name in {other.name for other in manifest.goldens[:i]}:
            yield f"goldens.{i}.name: {golden.name!r} is listed twice"
