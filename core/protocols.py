"""Protocols (structural types) of targets, runners, their sessions, and progress callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from clearport.base import Array, Artifact, Options, Precision, Skipped, Task, TensorSpec
    from clearport.model_spec import Paper
    from clearport.quantized import TargetGraph


class Described(Protocol):
    """The properties of a network that an export needs; see ``clearport.model_spec.ModelSpec``."""

    @property
    def name(self) -> str: ...

    @property
    def task(self) -> Task: ...

    @property
    def license(self) -> str: ...

    @property
    def paper(self) -> Paper | None: ...

    @property
    def size_multiple(self) -> int: ...

    @property
    def least_side(self) -> int: ...

    @property
    def value_range(self) -> tuple[float, float]: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...


@runtime_checkable
class Target(Protocol):
    """A format that clearport writes. ``export/<name>/target.py`` defines one as ``TARGET``, found by file."""

    name: str
    title: str
    precisions: tuple[Precision, ...]
    requires: tuple[str, ...]
    """Distributions that must be installed; the extra called ``name`` installs them."""

    def lower(self, form: TargetGraph, options: Options, folder: Path) -> Sequence[Artifact | Skipped]:
        """Write the artifacts of one precision into ``folder``; several when there are variants.

        Raises:
            UnsupportedOperator: the graph holds an operator that the target cannot express.
        """
        ...


class Session(Protocol):
    """An artifact that was opened by its runtime, inside the worker subprocess."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Raw tensors in the artifact's own dtype and layout, in and out."""
        ...

    def facts(self) -> dict[str, Any]:
        """Facts reported by the runtime: the ``unit`` that ran, ``partitions``, ``executed_precision``,
        ``operators``.
        """
        ...


@runtime_checkable
class Runner(Protocol):
    """A runtime. ``runtime/runners/<name>.py`` defines one as ``RUNNER``, found by file.

    A runner may also have ``unavailable()`` (the reason why this machine cannot run it although its packages are
    installed, or None), ``interpreter()`` (the Python executable of its worker, or None if none has the runtime),
    ``prepare()`` (imports the runtime, before ``open`` is timed), ``extra`` (the extra that installs its packages),
    ``most_pixels`` (for slow runtimes: the largest picture, in pixels, that it runs without being named),
    ``distorts(precision, variant)`` (why this machine's CPU computes such a file incorrectly, or None),
    ``method_of(variant)`` (``method`` for a variant of which it runs a part) and ``units`` (supported units of ``cpu``,
    ``gpu`` and ``npu``; default ``("cpu",)``). An export proves its files on the CPU; ``clearport bench --unit`` uses
    the other units.

    A session's ``facts()`` may have ``operators_per_unit`` (unit -> kernel -> how many) and ``emulated``: the
    substitute for the hardware, such as a software GPU or a simulator; its times are no latencies.
    """

    name: str
    title: str
    targets: tuple[str, ...]
    requires: tuple[str, ...]
    measures_latency: bool
    method: str
    """How a row is labeled: ``ran on LiteRT``, ``reference-evaluated`` ..."""

    def open(self, path: Path, threads: int, options: Mapping[str, Any]) -> Session:
        """Load the file. Runs in the worker; whatever it raises reaches the parent as RuntimeFailure."""
        ...


class Progress(Protocol):
    """Progress callback of a long job: ``stage`` in words, ``done`` of ``total`` steps (total 0: unknown)."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def no_progress(stage: str, done: int, total: int) -> None:
    """A Progress that reports nothing."""


def named(progress: Progress, what: str) -> Progress:
    """A Progress that prefixes every stage with ``what``."""
    return lambda stage, done, total: progress(f"{what}: {stage}", done, total)
