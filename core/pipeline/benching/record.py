"""Recording device rows in the bundle and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.bundle.folder import Bundle, changing, write
from clearport.errors import BadInput
from clearport.pipeline.benching.values import BASELINE
from clearport.reports.html import write_reports

_SHA256 = 64

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from clearport.bundle.bench_record import BenchedModel, BenchPlan
    from clearport.pipeline.benching.values import BenchOutcome


_OPTIONS = {
    "threads": "--threads",
    "runs": "--runs",
    "seconds": "--seconds",
    "sustained_s": "--sustained",
    "pin": "--pin",
}
_OF_MODEL = {
    "name": "network",
    "scale": "scale",
    "size": "--size of the export",
    "input_size": "measured picture",
    "macs": "number of multiply-accumulates",
    "weights_sha256": "weights",
}


def differences(old_model: BenchedModel, model: BenchedModel, old_plan: BenchPlan, plan: BenchPlan) -> list[str]:
    """The differences in bundle or measurement settings of a record, one phrase each, by option name."""
    found = [
        f"its {_OF_MODEL.get(name, name)} is {_shown(there)} and this bundle's is {_shown(here)}"
        for name, there, here in _unequal(old_model, model)
    ]
    found += [
        f"it was measured with {_OPTIONS.get(name, name)} {_shown(there)} and this run has {_shown(here)}"
        for name, there, here in _unequal(old_plan, plan)
    ]
    return found


def _unequal(old: BaseModel, new: BaseModel) -> list[tuple[str, object, object]]:
    names = type(new).model_fields
    return [(n, getattr(old, n), getattr(new, n)) for n in names if getattr(old, n) != getattr(new, n)]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)[:12] if len(str(value)) == _SHA256 else str(value)


def record_rows(outcome: BenchOutcome) -> Bundle:
    """Keep the rows of the bundle's own artifacts in its manifest and reports; those of other devices stay.

    Raises:
        BadInput: the bundle was changed meanwhile, or it cannot be written.
    """
    folder = outcome.bundle.folder
    with changing(folder, "--record"):
        return _recorded(folder, outcome)


def _recorded(folder: Path, outcome: BenchOutcome) -> Bundle:
    bundle = Bundle.load(folder)
    changed = bundle.verify_files()
    if changed:
        raise BadInput(f"{folder}: not recorded, since the bundle was modified: {changed[0]}")
    manifest, record = bundle.manifest, outcome.record
    own = {BASELINE, *(artifact.key for artifact in bundle.artifacts)}
    rows = {row.key: row for row in manifest.device_rows} | {r.key: r for r in record.rows if r.artifact in own}
    devices = {d.address: d for d in manifest.devices} | {d.address: d for d in record.devices}
    update = {"device_rows": tuple(rows.values()), "devices": tuple(devices.values())}
    written = write(folder, manifest.model_copy(update=update))
    write_reports(written)
    return written
