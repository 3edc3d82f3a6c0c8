"""``clearport bom``: the bill of materials of a bundle, to a file or as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.bundle.folder import Bundle
from clearport.disk import ours
from clearport.disk.files import write_text
from clearport.disk.outputs import OutFile, claimed
from clearport.reports.bom import bom

if TYPE_CHECKING:
    from pathlib import Path


def write_bom(folder: Path, out: Path | None) -> str:
    """The document, or the path to which it was written.

    Raises:
        BadInput: no such bundle, or the file cannot be written.
    """
    text = bom(Bundle.load(folder))
    if out is None:
        return text
    with claimed(OutFile(out, "--out", "a CycloneDX document of clearport", ours.is_bom), reads=(folder,)):
        write_text(out, text)
    return str(out)
