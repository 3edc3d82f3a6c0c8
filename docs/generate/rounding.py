"""Deviations of runtimes from ONNX, from the records that the writers use and the tests check."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from clearport.export import quirks
from clearport.export.quirks.table import Quirk
from docs.generate.text import page, sentence

_INTRODUCTION = """\
Each section is a form of an operator that a runtime computes differently from ONNX Runtime's reference, the version
in which that was last seen, and what clearport's writer does about it: *rewritten* into an equivalent form, *refused*
with the layer's name, or *avoided* because the writer never produces the form. A test runs every form on the
installed runtime, and fails once the runtime is fixed.
"""


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    sections = [f"## {name}\n\n{_about(name)}\n\n{of_module(name)}" for name in _modules()]
    yield "reference/rounding.md", page("Which runtime rounds how", _INTRODUCTION, *sections)


def of_module(name: str, level: str = "###") -> str:
    """The records of one runtime, a section each; empty if it has none."""
    module = importlib.import_module(f"{quirks.__name__}.{name}")
    return "\n".join(_section(value, level) for value in vars(module).values() if isinstance(value, Quirk))


def _section(quirk: Quirk, level: str) -> str:
    facts = (("form", quirk.form), ("instead", quirk.instead), (quirk.answer, quirk.how), ("last seen in", quirk.seen))
    operator = f" ({quirk.operator})" if quirk.operator else ""
    return f"{level} {quirk.name}{operator}\n\n" + "\n".join(f"- **{name}**: {value}" for name, value in facts) + "\n"


def _about(name: str) -> str:
    return sentence(importlib.import_module(f"{quirks.__name__}.{name}"))


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(quirks.__path__) if of_module(module.name)]
