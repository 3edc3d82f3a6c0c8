"""Output files of a diagnosis."""

from __future__ import annotations

import json as json_
from typing import TYPE_CHECKING

from clearport.disk import ours
from clearport.disk.files import write_text
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput
from clearport.pipeline.diagnosis.run import diagnose_bundle
from clearport.protocols import no_progress
from clearport.reports import diagnosis as reports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clearport.bundle.diagnosis import Diagnosis
    from clearport.protocols import Progress


def diagnosed(  # noqa: PLR0913  what a diagnosis may be asked for, and where it goes
    folder: Path,
    progress: Progress = no_progress,
    *,
    picture: str = "probe",
    targets: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    threads: int = 1,
    json: Path | None = None,
    html: Path | None = None,
    node_data: Path | None = None,
) -> Diagnosis:
    """``diagnose_bundle``, with its result written to files: figures, a heat map, data for Model Explorer.

    Raises:
        BadInput: as ``diagnose_bundle``; or a file cannot be written, or no ``.tflite`` file was examined for Model
            Explorer.
    """
    wanted = [
        None if json is None else OutFile(json, "--json", "a diagnosis of clearport", ours.is_diagnosis),
        None if html is None else OutFile(html, "--html", "a heat map of clearport", ours.is_heat_map),
        None if node_data is None else OutFile(node_data, "--node-data", "clearport's node data", ours.is_node_data),
    ]
    with claimed(*wanted, reads=(folder,)):
        found = diagnose_bundle(folder, progress, picture=picture, targets=targets, runtimes=runtimes, threads=threads)
        if json is not None:
            write_text(json, found.model_dump_json(indent=1) + "\n")
        if html is not None:
            write_text(html, reports.html(found))
        if node_data is not None:
            write_text(node_data, _for_model_explorer(found))
    return found


def _for_model_explorer(found: Diagnosis) -> str:
    files = [witness for witness in found.witnesses if witness.artifact.startswith("tflite/") and witness.layers]
    if not files:
        raise BadInput("--node-data: Model Explorer needs the tensors of a .tflite file, and none was examined")
    return json_.dumps(reports.node_data(found, files[0]), indent=1) + "\n"
