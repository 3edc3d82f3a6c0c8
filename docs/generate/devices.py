"""A page per family of devices."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from clearport.registry import DEVICES
from docs.generate.text import contents, docstring, page, sentence, table


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of every page."""
    names = DEVICES.names()
    for name in names:
        module = importlib.import_module(DEVICES.module(name))
        yield f"devices/{name}.md", page(_title(name), docstring(module))
    rows = ((f"[{_title(name)}]({name}.md)", sentence(importlib.import_module(DEVICES.module(name)))) for name in names)
    introduction = "How to use them, and what every row means: [measuring on devices](../guides/devices.md).\n"
    yield "devices/index.md", page("Devices", introduction, table(("family", "what"), rows), contents(names))


def _title(name: str) -> str:
    return str(DEVICES.get(name).title)
