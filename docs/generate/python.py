"""The Python interface: signatures and docstrings of ``clearport.api``."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator

from clearport import api
from docs.generate.text import block, docstring, page


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    functions = [value for value in vars(api).values() if _public(value)]
    sections = [f"## clearport.{f.__name__}\n\n{_signature(f)}\n{docstring(f)}" for f in functions]
    yield "reference/python.md", page("Python", docstring(api), *sections)


def _public(value: object) -> bool:
    return (
        isinstance(value, types.FunctionType)
        and value.__module__ == api.__name__
        and not value.__name__.startswith("_")
    )


def _signature(function: types.FunctionType) -> str:
    signature = inspect.signature(function)
    inside = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in inside:
            inside.append("*")
        inside.append(_parameter(parameter))
    lines = "".join(f"    {line},\n" for line in inside)
    return block(f"{function.__name__}(\n{lines}) -> {signature.return_annotation}", "python")


def _parameter(parameter: inspect.Parameter) -> str:
    written = f"{parameter.name}: {parameter.annotation}"
    if parameter.default is parameter.empty:
        return written
    default = getattr(parameter.default, "__name__", None) or repr(parameter.default)
    return f"{written} = {default}"
