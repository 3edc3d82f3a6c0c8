"""``clearport fetch``: published weights from the user's URL, checked before they are kept.

clearport contains no URLs of third-party files, since their licenses concern their owners and the user:
``clearport list NETWORK`` shows who published weights.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearport.disk.files import write_bytes
from clearport.disk.outputs import OutFile, claimed
from clearport.errors import BadInput
from clearport.protocols import no_progress
from clearport.registry import NETWORKS
from clearport.stores.opened import open_store
from clearport.stores.store import Missing

if TYPE_CHECKING:
    from clearport.model_spec import ModelSpec
    from clearport.models.weights import Loaded
    from clearport.protocols import Progress

MOST_BYTES = 1 << 30
"""Maximum bytes of a fetched file."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FetchRequest:
    """Weights of ``network`` at ``address``, to be written to ``out`` (None: their own name in the current folder).

    ``sha256`` is the expected checksum; empty: any.
    """

    network: str
    address: str
    out: Path | None = None
    scale: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Fetched:
    """The file, its format (``read_as``), and publisher and license if known (``terms``)."""

    path: Path
    network: str
    scale: int
    bytes: int
    sha256: str
    read_as: str
    terms: str


def fetch_weights(request: FetchRequest, progress: Progress = no_progress) -> Fetched:
    """Fetch a file of weights; it is written only if it fits the network and has the expected checksum.

    Raises:
        BadInput: no such network, scale or file, or the file does not fit; nothing was written.
    """
    from clearport.models import weights

    spec = NETWORKS.get(request.network)
    scale = weights.checked_scale(spec, request.scale)
    wanted = request.sha256.lower().removeprefix("sha256:")
    if wanted and not _SHA256.fullmatch(wanted):
        raise BadInput(f"--sha256 {request.sha256!r}: expected 64 hexadecimal digits")
    place, _, name = request.address.rstrip("/").rpartition("/")
    if not place or not name:
        raise BadInput(f"{request.address}: expected the address of a file, as in https://SERVER/PATH/weights.pth")
    if "://" in place and any(mark in name for mark in "?#"):
        raise BadInput(f"{request.address}: remove the '?' or '#' and everything after it")
    out = request.out or Path(name)
    keep = "a file is already there; name another with --out"
    with claimed(OutFile(out, "--out", "weights of clearport fetch", lambda _: True, keep=keep)):
        progress("downloading", 0, 0)
        content = _content(place, name)
        found = hashlib.sha256(content).hexdigest()
        if wanted and found != wanted:
            raise BadInput(f"{request.address}: its SHA-256 is {found}, expected {wanted}; nothing was written")
        progress("fitting it to the network", 0, 0)
        loaded = _fitted(spec, scale, name, content, request.address)
        write_bytes(out, content)
    return Fetched(out, spec.name, scale, len(content), found, loaded.source, spec.published)


def _fitted(spec: ModelSpec, scale: int, name: str, content: bytes, address: str) -> Loaded:
    """The network with the weights of a file, whose name tells readers its format."""
    from clearport.models import weights

    with tempfile.TemporaryDirectory() as aside:
        place = Path(aside, name)
        write_bytes(place, content)
        try:
            return weights.load(spec, scale, place)
        except BadInput as error:
            raise BadInput(str(error).replace(str(place), address)) from error


def _content(place: str, name: str) -> bytes:
    try:
        return open_store(place).read(name, MOST_BYTES)
    except Missing as error:
        raise BadInput(f"{place}/{name}: no such file") from error
