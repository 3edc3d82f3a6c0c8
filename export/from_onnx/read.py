"""Reading of ONNX files: complete, checked, of bounded size; nothing in them is executed."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from clearport import problems
from clearport.disk.files import explain
from clearport.errors import BadInput, ClearportError
from clearport.export.from_onnx import check, tensors
from clearport.export.from_onnx.wire import Census

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn unexpected exceptions of libraries into errors about the file, with a log.

    Raises:
        BadInput: anything unexpected was raised within.
    """
    try:
        yield
    except ClearportError:
        raise
    except problems.UNEXPECTED as error:
        raise BadInput(f"{path}: it cannot be read: {problems.told(error, f'reading {path}')}") from error


@dataclass(frozen=True)
class Given:
    """A model as in its file, with its external data loaded.

    Attributes:
        path: the file.
        sha256: of the file.
        model: the message; treat it as immutable.
    """

    path: Path
    sha256: str
    model: onnx.ModelProto

    @property
    def opset(self) -> int:
        """The version of ONNX's operators that it was written for."""
        return check.opset_of(self.model.opset_import, str(self.path))

    @property
    def producer(self) -> str:
        """The producer that the file declares, in one line of text."""
        said = f"{self.model.producer_name} {self.model.producer_version}".strip()
        return "".join(c for c in said if c.isprintable())[:80]

    def to_bytes(self) -> bytes:
        """One file that holds all of it."""
        return bytes(self.model.SerializeToString(deterministic=True))


def read(path: Path) -> Given:
    """Read and check an ONNX file.

    Raises:
        BadInput: there is none, it is damaged, too large or malicious, or it cannot be exported.
    """
    data = _bytes(path)
    Census(memoryview(data), str(path)).take()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as error:
        raise BadInput(f"{path}: not an ONNX model: {error}") from error
    if not model.HasField("graph") or not model.graph.node:
        raise BadInput(f"{path}: not an ONNX model, or one without operators")
    with reading(path):
        tensors.complete(model, path)
        check.check(model, path)
    return Given(path, hashlib.sha256(data).hexdigest(), model)


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
        if path.stat().st_size > tensors.MOST_BYTES:
            raise BadInput(f"{path}: larger than 2 GiB, the limit of the ONNX format")
        return path.read_bytes()
    except OSError as error:
        raise explain(error, path) from error
