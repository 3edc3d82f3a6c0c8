"""ncnn's ``.param`` with its ``.bin``. They have no sizes; files written by clearport have a contract beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearport.disk.files import size_bytes
from clearport.disk.json_files import read_json, read_text
from clearport.errors import BadInput
from clearport.pipeline.formats.described import Described, Tally, end
from clearport.runtime.sessions.ncnn import files_of

if TYPE_CHECKING:
    from pathlib import Path

    from clearport.base import TensorSpec

_MAGIC = "7767517"
_MOST_TEXT = 64 << 20


def described(path: Path) -> Described:
    """See ``Described``.

    Raises:
        BadInput: it is not an ncnn model.
    """
    try:
        param, weights = files_of(path)
    except FileNotFoundError as error:
        raise BadInput(str(error)) from error
    lines = read_text(param, _MOST_TEXT).split("\n")
    if lines[0].strip() != _MAGIC:
        raise BadInput(f"{param}: not ncnn's text format (it begins with {lines[0][:20]!r}, expected {_MAGIC})")
    tally = Tally(macs=None)
    taken: set[str] = set()
    given: list[str] = []
    inputs = []
    for line in filter(str.strip, lines[2:]):
        kind, _, takes, gives, *blobs = line.split()
        names = blobs[int(takes) : int(takes) + int(gives)]
        taken.update(blobs[: int(takes)])
        given += names
        tally.operators[kind] += 1
        inputs += names if kind == "Input" else []
    outputs = [name for name in given if name not in taken]
    contract = param.with_suffix(".json")
    said = read_json(contract, "the contract of an ncnn model") if contract.is_file() else {}
    ends = (_ends(said, "input", inputs), _ends(said, "output", outputs))
    half = "float16" if said.get("precision") == "fp16" else "float32"
    size = size_bytes(param) + size_bytes(weights)
    return Described(path, "ncnn", size, *ends, tally.operators, {half: size_bytes(weights)}, None)


def _ends(said: Any, word: str, names: list[str]) -> tuple[TensorSpec, ...]:
    told = {spec["name"]: spec for spec in (*([said[word]] if word in said else []), *said.get(f"{word}s", ()))}
    return tuple(
        end(name, tuple(told[name]["shape"]), "float32") if name in told else end(name, (), "float32") for name in names
    )
