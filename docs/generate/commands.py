"""The command line: every command with its arguments and options, as in ``--help``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from clearport.cli.app import app
from docs.generate.text import block, code, page, table

_INTRODUCTION = """\
Exit codes: 0 success, 1 a check failed, 2 bad input or an internal error, 130 interrupted. This page has the text of
`clearport COMMAND --help`.
"""


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    group: Any = typer.main.get_command(app)
    sections = [_command(name, command) for name, command in sorted(group.commands.items())]
    yield "reference/commands.md", page("Commands", _INTRODUCTION, *sections)


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument" and not p.hidden]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    parts = [f"## clearport {name}\n", _help(command.help or "")]
    if arguments:
        parts.append(
            table(("argument", ""), ((code(a.metavar or a.name.upper()), _plain(a.help or "")) for a in arguments))
        )
    if options:
        parts.append(table(("option", "value", ""), map(_option, options)))
    return "\n".join(parts)


def _option(option: Any) -> tuple[str, str, str]:
    names = ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else code(option.metavar or _kind(option.type_descriptor.annotation))
    needed = "Required. " if option.required else ""
    return names, value, needed + _plain(option.help or "")


def _kind(annotation: Any) -> str:
    """The type of an option's values, as in ``--help``."""
    return {"str": "TEXT", "int": "INTEGER", "float": "NUMBER", "Path": "PATH"}.get(annotation.__name__, "VALUE")


def _help(text: str) -> str:
    """The text of a command; in blocks with kept line breaks (``\\b``), indented lines are commands."""
    return "\n\n".join(map(_paragraph, _plain(text).split("\n\n"))) + "\n"


def _paragraph(paragraph: str) -> str:
    lines = paragraph.strip("\n").splitlines()
    if lines and lines[0] == "\b":
        said = [line for line in lines[1:] if not line.startswith(" ")]
        typed = [line.removeprefix("  ") for line in lines[1:] if line.startswith(" ")]
        return "\n".join(said) + "\n\n" + block("\n".join(typed), "sh").rstrip()
    about, colon, command = paragraph.rpartition(": clearport ")
    if colon and "\n" not in command and "," not in command:
        return f"{about}:\n\n" + block(f"clearport {command}", "sh").rstrip()
    return re.sub(r"(?<![\w'`])(--[a-z][a-z-]+)", r"`\1`", paragraph)


def _plain(text: str) -> str:
    """Convert Rich's markup to Markdown: ``\\[x]`` is an escaped bracket; ``--help`` ends at a form feed."""
    return text.split("\f", maxsplit=1)[0].replace("\\[", "[")
