"""Signing a bundle, and whether a signature holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearport.bundle import signature
from clearport.bundle.files import SIGNATURE
from clearport.bundle.folder import Bundle, verify_folder
from clearport.disk import ours
from clearport.disk.files import write_text
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput, CheckFailed
from clearport.reports.junit import Check

if TYPE_CHECKING:
    from pathlib import Path


def sign_bundle(folder: Path, key: Path, out: Path | None = None) -> Path:
    """Sign a bundle that is as it was written; the signature goes into it (``model.sig``), or to ``out``.

    Raises:
        BadInput: there is no bundle, a file of it was changed, or the key cannot be used.
    """
    place = out or folder / SIGNATURE
    Bundle.load(folder)
    if wrong := verify_folder(folder):
        raise BadInput(f"{folder}: not signed, as it is not as it was written: {wrong[0]}")
    wanted = OutFile(place, "--out", "a signature", ours.is_signature, inside=True)
    with claimed(wanted, reads=(key,)):
        write_text(place, signature.signed(folder, key))
    return place


def check_signature(folder: Path, key: Path, place: Path | None = None) -> Check:
    """Whether the owner of a public key signed a bundle as it is.

    Raises:
        BadInput: the key cannot be used, or there is no bundle.
    """
    try:
        left_out = Bundle.load(folder).left_out
    except BadInput as error:  # its manifest was changed: then so is what was signed
        return Check("signature", False, str(error), group=SIGNATURE)
    try:
        said = signature.check(folder, place or folder / SIGNATURE, key, left_out)
    except CheckFailed as error:
        return Check("signature", False, str(error), group=SIGNATURE)
    return Check("signature", True, said, group=SIGNATURE)
