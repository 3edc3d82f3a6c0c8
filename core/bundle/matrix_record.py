"""``matrix.json`` of ``clearport matrix``: one row per export, and the outcome of each of its cells.

The record is derived from the bundles' proofs and has no times: equal inputs give equal bytes. The JSON
schema is ``matrix.schema.json``, made by ``schema()``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearport import __version__
from clearport.base import Precision, Skipped, Task, scale_word
from clearport.bundle.fields import Count, Finite, RelativePath, Sha256, Text, Versions
from clearport.disk.json_files import read_model, schema_text
from clearport.runtime.parity import NETWORKS, ParityReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.bundle.folder import Bundle
    from clearport.bundle.manifest import ArtifactRecord

SCHEMA_ID = "https://clearport.invalid/matrix-1.schema.json"

Status = Literal["proven", "unproven", "refused", "failed"]
"""``proven``: every parity check passed. ``unproven``: written, but no runtime here can run it. ``refused``: not
written, with the reason. ``failed``: a parity check failed, or a process crashed."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MatrixCell(_Record):
    """A target in a precision. ``variant`` distinguishes files of one target and precision.

    ``psnr_db`` is the PSNR of the file to the network itself (null if they are equal, or nothing was compared),
    ``equal`` whether they are equal. Outputs other than pictures have ``sqnr_db`` instead, class indices and Booleans
    ``same``, the share (0..1) of equal values. ``method`` says how the file was run. ``path`` is relative to the folder
    of the matrix.
    """

    target: Text
    precision: Precision
    variant: str = ""
    status: Status
    reason: str = ""
    method: str = ""
    psnr_db: Finite | None = None
    sqnr_db: Finite | None = None
    same: Finite | None = None
    equal: bool = False
    path: RelativePath | None = None
    sha256: Sha256 | None = None
    bytes: Count | None = None

    @property
    def key(self) -> str:
        """``target/precision[/variant]``."""
        return "/".join(filter(None, (self.target, self.precision, self.variant)))


class MatrixRow(_Record):
    """One export: a network at one scale and size. ``key`` is its cache key, a digest of all inputs of the export.

    ``bundle`` is its folder; null if nothing was written, with the reason in each cell.
    """

    name: Text
    label: Text
    network: Text
    task: Task | None = None
    scale: str = ""
    size: Text
    key: Sha256
    bundle: RelativePath | None = None
    cells: Annotated[tuple[MatrixCell, ...], Field(min_length=1)]


class MatrixRecord(_Record):
    """The whole matrix."""

    schema_version: Literal[1] = 1
    clearport: Text = __version__
    tool_versions: Versions = Field(default_factory=dict)
    rows: tuple[MatrixRow, ...]

    def count(self, status: Status) -> int:
        """The number of cells with a status."""
        return sum(cell.status == status for row in self.rows for cell in row.cells)


def cells_of(bundle: Bundle, folder: str) -> list[MatrixCell]:
    """The cells of a bundle in ``folder``, from its manifest: its files, then the skipped ones."""
    manifest = bundle.manifest
    made = [_made(artifact, folder) for artifact in manifest.artifacts]
    return made + [cell for skipped in manifest.skipped for cell in refused(skipped)]


def _made(artifact: ArtifactRecord, folder: str) -> MatrixCell:
    reports = artifact.parities
    to_network = next((report for report in reports if report.reference.startswith(NETWORKS)), None)
    status, reason = _verdict(artifact, reports)
    return MatrixCell(
        target=artifact.target,
        precision=artifact.precision,
        variant=artifact.variant,
        status=status,
        reason=reason,
        method=reports[0].method if reports else "",
        psnr_db=to_network.psnr_db if to_network and to_network.basis != "values" else None,
        sqnr_db=to_network.sqnr_db if to_network and to_network.basis == "values" else None,
        same=to_network.same if to_network else None,
        equal=bool(to_network and to_network.passed and to_network.psnr_db is None),
        path=f"{folder}/{artifact.path}",
        sha256=artifact.sha256,
        bytes=artifact.bytes,
    )


def _verdict(artifact: ArtifactRecord, reports: Sequence[ParityReport]) -> tuple[Status, str]:
    failures = [failure for report in reports for failure in report.failures]
    if any(not report.passed for report in reports):
        return "failed", "; ".join(failures) or "outside its tolerance"
    if not reports:
        assert isinstance(artifact.parity, Skipped)
        return "unproven", artifact.parity.reason
    return "proven", ""


def refused(skipped: Skipped) -> list[MatrixCell]:
    """The cells of a skipped artifact: one, or every precision of a target."""
    from clearport.registry import TARGETS

    target, _, rest = skipped.what.partition("/")
    precision, _, variant = rest.partition("/")
    precisions: Sequence[Precision] = (precision,) if precision else TARGETS.get(target).precisions  # type: ignore[assignment]
    return [
        MatrixCell(target=target, precision=each, variant=variant, status="refused", reason=skipped.reason)
        for each in precisions
    ]


def row_of(bundle: Bundle, name: str, label: str, key: str) -> MatrixRow:
    """The row of a bundle in the folder ``name`` of a matrix."""
    model = bundle.manifest.model
    return MatrixRow(
        name=name,
        label=label,
        network=model.name,
        task=model.task,
        scale=scale_word(model.scale),
        size=model.size,
        key=key,
        bundle=name,
        cells=tuple(cells_of(bundle, name)),
    )


def to_json(record: MatrixRecord | MatrixRow) -> str:
    """The text of ``matrix.json``: sorted keys, two spaces, one newline at the end."""
    plain = record.model_dump(mode="json")
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_record(path: Path) -> MatrixRecord:
    """Read a ``matrix.json``.

    Raises:
        BadInput: it is missing or invalid.
    """
    return read_model(path, MatrixRecord, "the record of 'clearport matrix'")


def schema() -> str:
    """The JSON schema of ``matrix.json``; ``make schemas`` writes it again."""
    return schema_text(MatrixRecord, SCHEMA_ID, "Support matrix of clearport")
