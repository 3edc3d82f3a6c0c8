"""The ``Source`` of the user's network, by the form of its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from clearport.base import Size
from clearport.errors import BadInput
from clearport.pipeline.sources import contract as contracts
from clearport.pipeline.sources.contract import Contract
from clearport.registry import NETWORKS, SYSTEMS

if TYPE_CHECKING:
    from clearport.pipeline.sources.foreign import Description
    from clearport.pipeline.sources.request import ExportRequest
    from clearport.pipeline.sources.source import Source


@runtime_checkable
class Measured(Protocol):
    """A source whose traits were measured."""

    @property
    def found(self) -> Description: ...


_ONNX = "an ONNX file"
FORMS = "a network of 'clearport list', FILE.onnx, FILE.pt2, or FILE.py:ATTRIBUTE"


def source_of(request: ExportRequest) -> Source:
    """The network of a request.

    Raises:
        BadInput: unknown network, unreadable file, or an option that does not apply to it.
    """
    word, contract = request.network, contract_of(request)
    if not isinstance(word, str):
        _check_options(request, "a module")
        from clearport.pipeline.sources.module import module_source

        return module_source(word, _name(_class_of(word)), _size(request), "a module given from Python", contract)
    if word.lower().endswith(".onnx"):
        _check_options(request, _ONNX)
        from clearport.pipeline.sources.onnx_file import onnx_source

        name = _name(Path(word).stem)
        return onnx_source(
            Path(word), name, contract, request.threads, size=_size(request), requantize=request.requantize
        )
    if word.lower().endswith(".pt2"):
        _check_options(request, "an exported program")
        from clearport.pipeline.sources.module import module_source
        from clearport.pipeline.sources.program import program_of

        origin = f"{Path(word).name}, exported by PyTorch"
        return module_source(program_of(Path(word)), _name(Path(word).stem), _size(request), origin, contract)
    file, _, attribute = word.rpartition(":")
    if file.lower().endswith(".py"):
        _check_options(request, "a network of yours")
        from clearport.pipeline.sources.module import module_source
        from clearport.pipeline.sources.python_file import module_of

        found = module_of(Path(file), attribute)
        return module_source(
            found, _name(Path(file).stem), _size(request), f"{attribute} of {Path(file).name}", contract
        )
    _check_form(word)
    _check_quantized(request)
    if contract != Contract():
        raise BadInput(f"{word}: clearport's own networks have a fixed contract; leave the contract out")
    from clearport.pipeline.sources.zoo import zoo_source

    return zoo_source(request)


def contract_of(request: ExportRequest) -> Contract:
    """The user's contract: from a file, and from options, which take precedence.

    Raises:
        BadInput: the file cannot be read.
    """
    file = contracts.read(request.contract) if request.contract is not None else Contract()
    return contracts.merged(file, request.told)


def _check_form(word: str) -> None:
    if word.lower().endswith(".py"):
        raise BadInput(
            f"{word}: the file needs the name of the network after a colon: {word}:ATTRIBUTE (a module, a class or a "
            f"function)"
        )
    if word in SYSTEMS.names():
        parts = ", ".join(part.network for part in SYSTEMS.get(word).parts.values())
        raise BadInput(
            f"{word}: a system of several networks, for 'clearport export' only (in Python export_system); here, name "
            f"one: {parts}"
        )
    if word not in NETWORKS.names() and Path(word).is_dir():
        raise BadInput(f"{word}: a folder; expected {FORMS} (for a bundle, name one of its files)")
    if word not in NETWORKS.names() and ("/" in word or Path(word).suffix):
        raise BadInput(f"{word}: expected {FORMS}")
    NETWORKS.module(word)  # an unknown name costs no import of PyTorch


def _check_options(request: ExportRequest, what: str) -> None:
    """Refuse options that only clearport's own networks have."""
    for option, given in (("--weights", request.weights), ("--scale", request.scale), ("--knob", request.knobs)):
        if given:
            raise BadInput(f"{option}: {what} has its own; the option is for networks of 'clearport list'")
    if what != _ONNX:
        _check_quantized(request)


def _check_quantized(request: ExportRequest) -> None:
    if request.requantize:
        raise BadInput(f"--requantize: for a quantized ONNX file; {request.network} is none: leave the option out")


def _size(request: ExportRequest) -> Size | None:
    return request.size if isinstance(request.size, Size) else None


def _class_of(given: Any) -> str:
    return type(given[0] if isinstance(given, tuple) and given else given).__name__


def _name(word: str) -> str:
    """The base name of a network's files, never that of one of clearport's own networks."""
    name = re.sub(r"[^a-z0-9_-]+", "_", word.lower()).strip("_-")[:40] or "network"
    return f"{name}_own" if name in NETWORKS.names() else name


def inspected(request: ExportRequest) -> Description:
    """The measured facts about a user's network.

    Raises:
        BadInput: as ``source_of``; or it is one of clearport's own, for which there is ``clearport list``.
    """
    found = source_of(request)
    if not isinstance(found, Measured):
        raise BadInput(f"{request.network}: one of clearport's own: clearport list {request.network} shows it")
    return found.found
