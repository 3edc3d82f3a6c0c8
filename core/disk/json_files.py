"""Strict reading of JSON: regular files of bounded length with unambiguous content.

JSON readers differ on duplicate keys, ``NaN`` and ``1e999``; files with these are refused, so that clearport reads a
manifest as every other program does. Files may be untrusted: pipes, devices and endless files are refused before they
are read.
"""

from __future__ import annotations

import json
import math
import os
import stat
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from clearport.disk.files import explain
from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

MOST_BYTES = 16 << 20
"""The maximum length of a JSON file: a manifest has about 0.1 MB, one with raw samples of twenty devices 2 MB."""
MOST_DEPTH = 64
"""The maximum nesting depth: our own files have 8 levels."""

_Model = TypeVar("_Model", bound="BaseModel")


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most ``most`` bytes; a pipe or a device is never waited for.

    Raises:
        BadInput: it is missing, not a regular file, too long, or cannot be read.
    """
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123  a descriptor
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadInput(f"{path}: expected a regular file, not a folder, pipe, socket or device")
            content = file.read(most + 1)
    except OSError as error:
        raise explain(error, path) from error
    if len(content) > most:
        raise BadInput(f"{path}: longer than {most >> 20} MiB, the limit for this kind of file")
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The UTF-8 text of a regular file.

    Raises:
        BadInput: see ``read_bytes``; or it is not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text (byte {error.start})") from error


def read_json(path: Path, what: str, most: int = MOST_BYTES) -> Any:
    """The value of a JSON file; ``what`` says in messages what the file should be, as in ``a scale table``.

    Raises:
        BadInput: see ``read_text``; or it is not JSON, has a duplicate key or a non-finite number, or is nested deeper
            than ``MOST_DEPTH``.
    """
    return parse_json(read_text(path, most), f"{path}: not {what}")


def read_model(
    path: Path, kind: type[_Model], what: str, explained: Callable[[list[Any]], str] | None = None, advice: str = ""
) -> _Model:
    """A JSON file as a pydantic model; ``explained`` formats validation errors, ``advice`` ends messages.

    Raises:
        BadInput: see ``read_json``; or the model rejects it.
    """
    from pydantic import ValidationError

    text = read_text(path)
    parse_json(text, f"{path}: not {what}", advice)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise BadInput(f"{path}: not {what}: {(explained or _first)(list(error.errors()))}{advice}") from error


def schema_text(model: type[BaseModel], identifier: str, title: str, mode: JsonSchemaMode = "validation") -> str:
    """The JSON schema (draft 2020-12) of a model as the text of its file; ``identifier`` is its ``$id``."""
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        **model.model_json_schema(mode=mode),
        "title": title,
    }
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _first(errors: list[Any]) -> str:
    """The first validation error of a model, with its field."""
    where = ".".join(map(str, errors[0]["loc"]))
    return f"{where}: {errors[0]['msg']}" if where else str(errors[0]["msg"])


def parse_json(text: str, refusal: str, advice: str = "") -> Any:
    """The value of a JSON text; messages begin with ``refusal`` and end with ``advice``.

    Raises:
        BadInput: see ``read_json``.
    """

    def unfit(number: str) -> NoReturn:
        raise ValueError(f"{number} is not a finite number")

    def real(number: str) -> float:
        value = float(number)
        return value if math.isfinite(value) else unfit(number)

    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=unfit, parse_float=real)
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        why = f"deeper than {MOST_DEPTH} levels" if isinstance(error, RecursionError) else str(error)
        raise BadInput(f"{refusal}: {why}{advice}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {twice!r}")
    return found


def _check_depth(value: Any) -> None:
    layer = [value]
    for _ in range(MOST_DEPTH + 1):
        nested = [item for item in layer if isinstance(item, (dict, list))]
        if not nested:
            return
        layer = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    raise RecursionError
