"""Lookup of operator records, from the families' files and from tests."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from clearport.operators.record import Function, Kernel, Operator

if TYPE_CHECKING:
    import onnx_ir as ir

_STANDARD = frozenset({"", "ai.onnx"})
_OF_TESTS: dict[str, Operator] = {}


@functools.cache
def _families() -> dict[str, Operator]:
    """Every record of a family's ``OPERATORS``."""
    package = importlib.import_module("clearport.operators")
    modules = (importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found = [record for module in modules for record in getattr(module, "OPERATORS", ())]
    twice = [name for name, count in Counter(record.name for record in found).items() if count > 1]
    if twice:
        raise ValueError(f"more than one record in core/operators for {', '.join(twice)}")
    return {record.name: record for record in sorted(found, key=lambda record: record.name)}


def operators() -> Mapping[str, Operator]:
    """Name -> record of every known operator."""
    return MappingProxyType(_families() | _OF_TESTS)


def known(name: str) -> bool:
    """Whether there is a record of this operator."""
    return name in _OF_TESTS or name in _families()


def operator(name: str) -> Operator:
    """The record of an operator.

    Raises:
        KeyError: there is none.
    """
    return _OF_TESTS[name] if name in _OF_TESTS else _families()[name]


def of(node: ir.Node) -> Operator:
    """The record of a node's operator; an empty record if it is unknown or not in ONNX's default domain."""
    if node.domain in _STANDARD and known(node.op_type):
        return operator(node.op_type)
    return Operator(node.op_type, "other")


def kernel(name: str) -> Kernel | None:
    """The ``Kernel`` of a TFLite operator that only one record knows."""
    return next((k for record in operators().values() for k in record.kernels if k.name == name), None)


def mil_operations() -> Mapping[str, Function]:
    """MIL operations that only records know -> their evaluators."""
    return {name: function for record in operators().values() for name, function in record.reference.items()}


@contextmanager
def registered(*records: Operator) -> Iterator[None]:
    """Context in which these records are in the table and override those of the same names."""
    before = dict(_OF_TESTS)
    _OF_TESTS.update({record.name: record for record in records})
    try:
        yield
    finally:
        _OF_TESTS.clear()
        _OF_TESTS.update(before)
