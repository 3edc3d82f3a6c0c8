"""The JSON schemas of clearport's files, with every field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clearport
from docs.generate.text import code, contents, page, table


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of every page."""
    found = sorted(Path(next(iter(clearport.__path__))).rglob("*.schema.json"))
    names = []
    for path in found:
        name = path.name.removesuffix(".schema.json")
        names.append(name)
        yield f"schemas/{name}.md", _schema(json.loads(path.read_text(encoding="utf-8")))
    yield "schemas/index.md", page("Schemas", "The JSON and TOML that clearport writes and reads.\n", contents(names))


def _schema(schema: dict[str, Any]) -> str:
    parts = [_fields(schema)]
    for name, definition in sorted(schema.get("$defs", {}).items()):
        fields = _fields(definition)
        if fields:
            parts.append(f"## {name}\n\n{_text(definition)}\n\n{fields}")
    identifier = f"`$id`: `{schema.get('$id', '')}`\n"
    return page(str(schema["title"]), _text(schema), identifier, *parts)


def _text(definition: dict[str, Any]) -> str:
    return str(definition.get("description", "")).replace("``", "`")


def _fields(definition: dict[str, Any]) -> str:
    required = set(definition.get("required", ()))
    properties = definition.get("properties", {})
    if not properties:
        return ""
    rows = ((code(name), _type(value), "yes" if name in required else "") for name, value in properties.items())
    return table(("field", "type", "required"), rows)


def _type(value: dict[str, Any]) -> str:
    """A field's type in a few words; named types link to their section."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for choice in ("anyOf", "oneOf"):
        if choice in value:
            return " or ".join(dict.fromkeys(_type(option) for option in value[choice]))
    if "const" in value:
        return code(json.dumps(value["const"]))
    if "enum" in value:
        return ", ".join(code(json.dumps(option)) for option in value["enum"])
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    return str(value.get("type", "any"))
