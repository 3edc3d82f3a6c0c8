"""The application, whose commands refuse options and arguments that are given but empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand


class Command(TyperCommand):
    """A command that takes no empty text.

    An unset variable of a script (``--out "$OUT"``) would otherwise mean the current folder, or every target.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the words after the command's name.

        Raises:
            typer.BadParameter: an option or argument is empty.
        """
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))  # before Path makes "." of an empty word
        for parameter in self.params:
            value = given.get(parameter.name or "")
            if any(map(_empty, value if isinstance(value, (list, tuple)) else (value,))):
                hint = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.name
                raise typer.BadParameter("it is empty; give a value, or leave it out", ctx=ctx, param_hint=hint)
        return super().parse_args(ctx, args)


class App(typer.Typer):
    """An application of such commands."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """A decorator that adds a command."""
        return super().command(name, **{"cls": Command, **settings})


def _empty(text: object) -> bool:
    """Whether a text has no characters, or only the commas and spaces of a list without entries."""
    return isinstance(text, str) and not text.strip(", \t")
