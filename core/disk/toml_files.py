"""Strict reading of TOML: errors name the file, the key and its line.

``tomllib`` has no positions. A key's line is found by parsing growing prefixes of the file: the key is in the first
valid prefix that has it, beyond the last one that lacks it.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from clearport.disk.json_files import read_text
from clearport.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST_BYTES = 1 << 20
"""The maximum length of a TOML file that a person writes."""
_SHOWN_ERRORS = 5

_Model = TypeVar("_Model", bound=BaseModel)


class TomlFile:
    """A file's text and values, for messages with the line of a key.

    Raises:
        BadInput: it is missing, not a regular file, too long, or not TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._text = path, read_text(path, MOST_BYTES)
        try:
            self.values: dict[str, Any] = tomllib.loads(self._text)
        except (ValueError, RecursionError) as error:  # ValueError: not TOML, or a number of thousands of digits
            raise BadInput(f"{path}: not a TOML file: {error or 'nested too deeply'}") from error

    def model(self, kind: type[_Model], what: str, advice: str = "") -> _Model:
        """The values as a pydantic model; ``what`` says what the file should be, ``advice`` ends messages.

        Raises:
            BadInput: the model rejects them.
        """
        try:
            return kind.model_validate(self.values)
        except ValidationError as error:
            found = list(error.errors())
            said = [f"{self.at(each['loc'])}: {_words(each)}" for each in found[:_SHOWN_ERRORS]]
            more = [f"and {len(found) - _SHOWN_ERRORS} more"] if len(found) > _SHOWN_ERRORS else []
            raise BadInput(f"{self.path}: not {what}: {'; '.join(said + more)}{advice}") from error

    def at(self, key: Sequence[str | int]) -> str:
        """``line 7, models.ncnet.sizes``: the position of a key, or of the nearest enclosing table."""
        name = ".".join(map(str, key)) or "the file"
        for length in range(len(key), 0, -1):
            if _has(self.values, key[:length]):
                return f"line {self._line(key[:length])}, {name}"
        return name

    def _line(self, key: Sequence[str | int]) -> int:
        lines = self._text.splitlines()
        before = 0
        for end in range(1, len(lines) + 1):
            try:
                values = tomllib.loads("\n".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # within a value of several lines
            if _has(values, key):
                return before + 1
            before = end
        return before


def _has(values: Any, key: Sequence[str | int]) -> bool:
    for part in key:
        known = part in values if isinstance(values, dict) else isinstance(values, list) and part in range(len(values))
        if not known:
            return False
        values = values[part]
    return True


def _words(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown setting"
    return str(error["msg"]).removeprefix("Value error, ")
