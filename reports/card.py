"""The model card of a version in a store, in the format of the Hugging Face hub; made from the manifest only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import Skipped, scale_word
from clearport.reports.figures import distance
from clearport.runtime.parity import ParityReport

if TYPE_CHECKING:
    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord, QualityRecord
    from clearport.stores.index import StoredVersion

_LICENSES = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0"})
"""License identifiers of the hub; all others are ``other``."""
_MARK = "<!-- written by clearport -->"


def model_card(bundle: Bundle, record: StoredVersion, store: str) -> str:
    """Markdown with the hub's metadata header."""
    model = bundle.manifest.model
    return "\n".join(
        [
            *_metadata(bundle),
            _MARK,
            "",
            f"# {model.name} x{scale_word(model.scale)}, {model.task}",
            "",
            f"{model.params:,} parameters, {model.macs:,} multiply-accumulates at {model.macs_size}.",
            f"The files are for inputs of {model.size}. License of the weights: {model.license}.",
            *([f"Architecture: [{model.paper.title}]({model.paper.url})."] if model.paper else []),
            "",
            f"Exported by clearport {bundle.manifest.tool_versions.get('clearport', record.clearport)}, which compared",
            "every file with PyTorch; `clearport verify` does so again.",
            "",
            "```",
            f"clearport pull {store.rstrip('/')}/{record.name}@{record.version} --out {record.name}",
            f"clearport verify {record.name}",
            "```",
            "",
            "| file | kB | dB to its reference | ms | proven |",
            "|---|---:|---:|---:|---|",
            *(_row(artifact) for artifact in bundle.artifacts),
            "",
            *_quality(bundle.manifest.quality),
            *_training(bundle),
            "",
        ]
    )


def _metadata(bundle: Bundle) -> list[str]:
    model = bundle.manifest.model
    plain = model.license.lower()
    known = plain in _LICENSES
    targets = sorted({artifact.target for artifact in bundle.artifacts})
    return [
        "---",
        f"license: {plain if known else 'other'}",
        *([] if known else [f"license_name: {_quoted(model.license)}"]),
        "library_name: clearport",
        "pipeline_tag: image-to-image",
        "tags:",
        *(f"- {tag}" for tag in (model.task, *targets)),
        "---",
    ]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _row(artifact: ArtifactRecord) -> str:
    parity, latency = artifact.parity, artifact.latency
    decibels, proven = "–", f"no: {parity.reason}" if isinstance(parity, Skipped) else "yes"
    if isinstance(parity, ParityReport) and parity.psnr_db is not None:
        decibels = f"{parity.psnr_db:.1f}" if parity.same is None else distance(parity)
    ms = "–" if isinstance(latency, Skipped) else f"{latency.median_ms:.1f}"
    cells = (f"`{artifact.path}`", f"{artifact.bytes / 1000:.0f}", decibels, ms, proven.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def _quality(rows: tuple[QualityRecord, ...]) -> list[str]:
    if not rows:
        return []
    told = [f"- {row.subject}, {row.data}: {row.metric} {row.value:g} {row.unit} ({row.protocol})" for row in rows]
    return ["Against ground truth:", "", *told, ""]


def _training(bundle: Bundle) -> list[str]:
    card = bundle.manifest.model.card or {}
    told = [str(card[key]) for key in ("source", "summary", "note") if card.get(key)]
    sets = card.get("data")
    named = [one for one in sets if isinstance(one, dict) and "name" in one] if isinstance(sets, list) else []
    rows = [f"- {one['name']}{f': {terms}' if (terms := one.get('terms')) else ''}" for one in named]
    return [*told, *(["", "Trained on:", "", *rows] if rows else [])]
