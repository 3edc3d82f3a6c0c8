"""What a target, a runner, its session, and a listener of long jobs must have; nobody needs a base class for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from clearport.base import Array, Artifact, Options, Precision, Skipped, Task, TensorSpec
    from clearport.model_spec import Paper
    from clearport.quantized import TargetGraph


class Described(Protocol):
    """What an export must know of a network; see ``clearport.base.ModelSpec``."""

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
    """Distribution names that must be importable, and the extra that brings them is ``name``."""

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
        """What the runtime says it did: ``unit`` that ran, ``partitions``, ``executed_precision``, ``operators``."""
        ...


@runtime_checkable
class Runner(Protocol):
    """A runtime. ``runtime/runners/<name>.py`` defines one as ``RUNNER``, found by file.

    A runner may also have ``unavailable()`` (why this machine cannot run it although its packages are there, or None),
    ``interpreter()`` (the Python that its worker is started with, or None where there is none that has the runtime),
    ``prepare()`` (imports the runtime, before ``open`` is timed), ``extra`` (the extra that brings its packages) and
    ``most_pixels`` (of the largest picture that it is given unasked, where it is slow),
    ``distorts(precision, variant)`` (why this machine's CPU computes such a file otherwise than it says, or None) and
    ``units`` (what it can be asked to run on, of ``cpu``, ``gpu`` and ``npu``; ``("cpu",)`` where it is not there). An
    export proves its files on the CPU; the other units are asked by ``clearport bench --unit``.

    A session's ``facts()`` may have ``operators_per_unit`` (unit -> kernel -> how many) and ``emulated``: what stands
    in for the hardware, such as a software GPU or a simulator; then nothing that the clock says is a latency.
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
    """Told how far a long job is: ``stage`` in words, ``done`` of ``total`` steps (total 0: not known)."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def no_progress(stage: str, done: int, total: int) -> None:
    """A Progress that says nothing."""


def named(progress: Progress, what: str) -> Progress:
    """A Progress whose stages are those of ``what``."""
    return lambda stage, done, total: progress(f"{what}: {stage}", done, total)
