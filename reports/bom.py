"""A bundle as a CycloneDX 1.6 bill of materials for machine learning, made from the manifest only.

CycloneDX's Python library is not used, since it does not support model cards.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from clearport.base import Skipped, TensorSpec
from clearport.bundle.files import MANIFEST
from clearport.disk.files import file_sha256
from clearport.reports.text import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord, Manifest, QualityRecord
    from clearport.runtime.parity import ParityReport

SPEC = "1.6"
_NETWORK = "network"
_SPDX = frozenset(
    {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"}
)


def bom(bundle: Bundle) -> str:
    """The text of the document; deterministic for a bundle."""
    manifest = bundle.manifest
    sha = file_sha256(bundle.folder / MANIFEST)
    files = [_file(path, digest, manifest) for path, digest in sorted(manifest.files.items())]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'clearport:{sha}')}",
        "version": 1,
        "metadata": {
            "timestamp": manifest.host.created,
            "tools": {"components": [_tool("clearport", manifest.tool_versions.get("clearport", ""))]},
            "component": _network(manifest),
        },
        "components": [*files, *(_tool(name, version) for name, version in sorted(_tools(manifest).items()))],
        "dependencies": [
            {"ref": _NETWORK, "dependsOn": sorted(file["bom-ref"] for file in files)},
            *_dependencies(manifest),
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _tool(name: str, version: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": f"tool:{name}", "name": name, "version": version}


def _tools(manifest: Manifest) -> Mapping[str, str]:
    found = dict(manifest.tool_versions)
    for artifact in manifest.artifacts:
        found.update(artifact.tool_versions)
    return found


def _dependencies(manifest: Manifest) -> list[dict[str, Any]]:
    """Dependencies of the artifacts' files on the tools that wrote them."""
    return [
        {"ref": _ref(path), "dependsOn": sorted(f"tool:{tool}" for tool in artifact.tool_versions)}
        for artifact in manifest.artifacts
        for path in sorted(manifest.files)
        if artifact.holds(path)
    ]


def _ref(path: str) -> str:
    return f"file:{path}"


def _file(path: str, digest: str, manifest: Manifest) -> dict[str, Any]:
    owner = next((artifact for artifact in manifest.artifacts if artifact.holds(path)), None)
    found: dict[str, Any] = {"type": "file", "bom-ref": _ref(path), "name": path, "hashes": [_sha(digest)]}
    if owner is not None:
        found["properties"] = _properties(owner)
    return found


def _sha(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _properties(artifact: ArtifactRecord) -> list[dict[str, str]]:
    parity = artifact.parity
    if isinstance(parity, Skipped):
        proof = f"not proven: {parity.reason}"
    else:
        proof = f"{'passed' if parity.passed else 'failed'}: {parity.method}, compared with {parity.reference}"
    return [
        {"name": "clearport:artifact", "value": artifact.key},
        {"name": "clearport:parity", "value": proof},
    ]


def _network(manifest: Manifest) -> dict[str, Any]:
    model = manifest.model
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _NETWORK,
        "name": model.name,
        "version": model.weights_sha256[:12],
        "hashes": [_sha(model.weights_sha256)],
        "licenses": [{"license": {"id" if model.license in _SPDX else "name": model.license}}],
        "modelCard": _card(manifest),
    }
    if model.paper is not None:
        found["externalReferences"] = [{"type": "documentation", "url": model.paper.url, "comment": model.paper.title}]
    return found


def _card(manifest: Manifest) -> dict[str, Any]:
    contract, model = manifest.pixel_contract, manifest.model
    parameters: dict[str, Any] = {
        "task": model.task,
        "modelArchitecture": model.name,
        "inputs": [{"format": _words(spec)} for spec in contract.inputs],
        "outputs": [{"format": _words(spec)} for spec in contract.outputs],
    }
    if sets := _datasets(manifest):
        parameters["datasets"] = sets
    return {"modelParameters": parameters, "quantitativeAnalysis": {"performanceMetrics": _metrics(manifest)}}


def _words(spec: TensorSpec) -> str:
    shape = "x".join(map(str, spec.shape))
    return f"{spec.name}: {spec.kind}, {spec.dtype} {shape}{f', {spec.color}' if spec.is_picture else ''}"


def _datasets(manifest: Manifest) -> list[dict[str, Any]]:
    """The training data listed in the card of the weights."""
    told = (manifest.model.card or {}).get("data")
    sets = [one for one in told if isinstance(one, dict) and "name" in one] if isinstance(told, list) else []
    return [{"type": "dataset", "name": str(one["name"]), "description": str(one.get("terms", ""))} for one in sets]


def _metrics(manifest: Manifest) -> list[dict[str, str]]:
    quality = [
        {"type": f"{row.metric} ({row.protocol})", "value": f"{row.value:g} {row.unit}".strip(), "slice": _slice(row)}
        for row in manifest.quality
    ]
    parity = [
        {**_distance(report), "slice": a.key}
        for a in manifest.artifacts
        for report in a.parities
        if report.psnr_db is not None
    ]
    return quality + parity


def _distance(report: ParityReport) -> dict[str, str]:
    if report.same is not None:
        return {"type": f"share equal to {report.reference}", "value": f"{percent(report.same)} %"}
    return {"type": f"PSNR to {report.reference} ({report.basis})", "value": f"{report.psnr_db:.2f} dB"}


def _slice(row: QualityRecord) -> str:
    return f"{row.subject} on {row.data}"
