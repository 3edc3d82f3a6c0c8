"""``clearport fetch``: published weights from an address that the user gives, checked before they appear.

clearport ships no addresses of other people's files, since their terms are between them and the user:
``clearport list NETWORK`` says who published what.
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
"""The longest file that is fetched."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FetchRequest:
    """Weights of ``network`` at ``address``, which go to ``out`` (None: under their own name here).

    ``sha256`` is the checksum that the file must have; empty: any.
    """

    network: str
    address: str
    out: Path | None = None
    scale: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Fetched:
    """The file, how its tensors fit the network (``read_as``), and what is known of its publication (``terms``)."""

    path: Path
    network: str
    scale: int
    bytes: int
    sha256: str
    read_as: str
    terms: str


def fetch_weights(request: FetchRequest, progress: Progress = no_progress) -> Fetched:
    """Fetch a file of weights; it appears only if it fits the network, and is what its checksum says.

    Raises:
        BadInput: there is no such network, scale or file, or it is not what it should be; nothing was written.
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
        raise BadInput(f"{request.address}: leave out the '?' or '#' and what follows it")
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
        raise BadInput(f"{place}/{name}: there is no such file") from error
