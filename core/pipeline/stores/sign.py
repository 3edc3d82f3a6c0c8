"""Signing a bundle, and verifying a signature."""

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
    """Sign an unchanged bundle; the signature is written into it (``model.sig``), or to ``out``.

    Raises:
        BadInput: no such bundle, a changed file, or an unusable key.
    """
    place = out or folder / SIGNATURE
    Bundle.load(folder)
    if wrong := verify_folder(folder):
        raise BadInput(f"{folder}: not signed, because the bundle was changed: {wrong[0]}")
    wanted = OutFile(place, "--out", "a signature", ours.is_signature, inside=True)
    with claimed(wanted, reads=(key,)):
        write_text(place, signature.signed(folder, key))
    return place


def check_signature(folder: Path, key: Path, place: Path | None = None) -> Check:
    """Check that the owner of a public key signed a bundle in its present state.

    Raises:
        BadInput: unusable key, or no such bundle.
    """
    try:
        left_out = Bundle.load(folder).left_out
    except BadInput as error:  # its manifest, and so the signed content, was changed
        return Check("signature", False, str(error), group=SIGNATURE)
    try:
        said = signature.check(folder, place or folder / SIGNATURE, key, left_out)
    except CheckFailed as error:
        return Check("signature", False, str(error), group=SIGNATURE)
    return Check("signature", True, said, group=SIGNATURE)
