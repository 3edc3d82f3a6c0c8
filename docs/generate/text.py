"""Markdown for generated pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; bars and line breaks within cells are escaped."""
    lines = [_row(headers), "|" + "---|" * len(headers), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def code(text: str) -> str:
    """Inline code; empty for an empty text."""
    return f"`{text}`" if text else ""


def block(text: str, language: str = "text") -> str:
    """A fenced block of code."""
    return f"```{language}\n{text.strip()}\n```\n"


def docstring(owner: object) -> str:
    """The docstring of a module or function as Markdown, with its commands as blocks of code."""
    text = inspect.cleandoc(getattr(owner, "__doc__", "") or "")
    return re.sub(r"``(.+?)``", r"`\1`", _blocks(text), flags=re.DOTALL) + "\n"


def _blocks(text: str) -> str:
    """Paragraphs that are indented as a whole, or a line that ends with a colon and its indented lines, as blocks."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs)


def _paragraph(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if lines and all(line.startswith("    ") for line in lines):
        return block(inspect.cleandoc(paragraph)).rstrip()
    if len(lines) > 1 and lines[0].endswith(":") and all(line.startswith("    ") for line in lines[1:]):
        return _definitions(lines)
    return paragraph


def _definitions(lines: Sequence[str]) -> str:
    """``Args:`` and ``Raises:`` of a docstring as a list; continued lines are joined."""
    items: list[str] = []
    for line in lines[1:]:
        if line.startswith(" " * 8) and items:
            items[-1] += " " + line.strip()
        else:
            items.append(line.strip())
    return f"**{lines[0]}**\n\n" + "\n".join(f"- {_bold(item)}" for item in items)


def _bold(item: str) -> str:
    name, colon, rest = item.partition(": ")
    return f"**{name}**: {rest}" if colon else item


def page(title: str, *parts: str) -> str:
    """A page with its heading; empty parts are omitted."""
    return "\n".join([f"# {title}\n", *(part for part in parts if part)])


def contents(pages: Iterable[str]) -> str:
    """The list of a section's pages, for the navigation."""
    return "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n"


def sentence(owner: object) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(docstring(owner).split("\n\n")[0].split())
