"""``FILE.py:ATTRIBUTE``: the user's code, run on the user's request, in this process and for the export only."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from typing import TYPE_CHECKING, Any

from clearport.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

_KEY = "clearport_given_network"


def module_of(path: Path, attribute: str) -> Any:
    """The module at an attribute: itself, or the result of calling a class or function without arguments.

    Raises:
        BadInput: no such file or attribute, it cannot be imported or called, or it returns something else.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    found: Any = _imported(path)
    for part in attribute.split("."):
        if not hasattr(found, part):
            there = ", ".join(name for name in vars(found) if not name.startswith("_"))[:200] if found else ""
            raise BadInput(f"{path}: it has no {attribute!r} (it has: {there})")
        found = getattr(found, part)
    return _called(found, path, attribute)


def _imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(_KEY, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    place = str(path.parent.resolve())
    sys.modules[_KEY] = module
    sys.path.insert(0, place)  # files beside it can be imported, as when it is run
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BadInput(f"{path}: importing it failed: {_last(error, path)}") from error
    finally:
        sys.path.remove(place)
    return module


def _called(found: Any, path: Path, attribute: str) -> Any:
    from torch import nn

    if isinstance(found, nn.Module) or not callable(found):
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"{path}: calling {attribute}() without arguments failed: {_last(error, path)}; to pass "
            "arguments, wrap it in a function without any"
        ) from error


def _last(error: BaseException, path: Path) -> str:
    """The error with the line of the user's file that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = f" (line {frames[-1].lineno})" if frames else ""
    said = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {said[:300]}{line}"
