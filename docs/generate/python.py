"""The Python interface: signatures and docstrings of ``clearport.api`` and of the modules beside it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator

from clearport import api, api_delivery, api_systems
from docs.generate.text import block, docstring, page


def pages() -> Iterator[tuple[str, str]]:
    """(path, text) of the page."""
    delivery = [docstring(api_delivery), *_sections(api_delivery)]
    systems = [docstring(api_systems), *_of_systems()]
    yield "reference/python.md", page("Python", docstring(api), *_sections(api), *delivery, *systems)


def _of_systems() -> list[str]:
    """Functions, and the class returned by ``open_system``."""
    opened = api_systems.OpenSystem
    call = f"{_signature(opened.__call__)}\n{docstring(opened.__call__)}"  # type: ignore[arg-type]  # a plain function
    return [*_sections(api_systems), f"## OpenSystem\n\n{docstring(opened)}\n\n{call}"]


def _sections(module: types.ModuleType) -> list[str]:
    functions = [value for value in vars(module).values() if _public(value, module)]
    return [f"## clearport.{f.__name__}\n\n{_signature(f)}\n{docstring(f)}" for f in functions]


def _public(value: object, module: types.ModuleType) -> bool:
    return (
        isinstance(value, types.FunctionType)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    )


def _signature(function: types.FunctionType) -> str:
    signature = inspect.signature(function)
    inside = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
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
