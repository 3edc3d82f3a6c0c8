"""What devices said, kept in the bundle and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.base import BadInput
from clearport.bundle import Bundle, write
from clearport.pipeline_bench_jobs import BASELINE
from clearport.reports.html import write_reports

if TYPE_CHECKING:
    from clearport.pipeline_bench import BenchOutcome


def record_rows(outcome: BenchOutcome) -> Bundle:
    """Keep the rows of the bundle's own artifacts in its manifest and reports; those of other devices stay.

    Raises:
        BadInput: the bundle was changed meanwhile, or it cannot be written.
    """
    folder = outcome.bundle.folder
    bundle = Bundle.load(folder)
    changed = bundle.verify_files()
    if changed:
        raise BadInput(f"{folder}: nothing is recorded in a bundle that is not as it was written: {changed[0]}")
    manifest, record = bundle.manifest, outcome.record
    own = {BASELINE, *(artifact.key for artifact in bundle.artifacts)}
    rows = {row.key: row for row in manifest.device_rows} | {r.key: r for r in record.rows if r.artifact in own}
    devices = {d.address: d for d in manifest.devices} | {d.address: d for d in record.devices}
    update = {"device_rows": tuple(rows.values()), "devices": tuple(devices.values())}
    written = write(folder, manifest.model_copy(update=update))
    write_reports(written)
    return written
