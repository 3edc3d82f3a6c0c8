"""The templates of this package. ``.html.j2`` files are autoescaped, others are not."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup


@cache
def environment() -> Environment:
    """The jinja2 environment; undefined names are errors."""
    made = Environment(
        loader=PackageLoader("clearport.reports", package_path=""),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["literal"] = literal
    made.filters["kotlin"] = lambda text: literal(text).replace("$", r"\$")
    made.filters["one_line"] = one_line
    made.filters["breakable"] = breakable
    return made


def asset(name: str) -> str:
    """The text of a file of this package, such as ``page.css``."""
    return files("clearport.reports").joinpath(name).read_text(encoding="utf-8")


def names() -> list[str]:
    """The names of all templates."""
    return sorted(p.name for p in files("clearport.reports").iterdir() if p.name.endswith(".j2"))


def literal(text: str) -> str:
    """A double-quoted string literal of Python, Swift, C++ and TypeScript; for Kotlin's ``$`` see filter ``kotlin``."""
    return json.dumps(one_line(text), ensure_ascii=False)


def breakable(text: str) -> Markup:
    """A name as HTML with line break opportunities after its slashes."""
    return Markup("/<wbr>").join(text.split("/"))


def one_line(text: str) -> str:
    """A text that cannot end a comment or a literal: control and separator characters become spaces."""
    return "".join(c if c.isprintable() else " " for c in text)
