"""Devices on which artifacts run: this machine, a phone, a board, a browser, or the compiler of an NPU.

``runtime/devices/<name>/family.py`` defines one family of devices as ``DEVICE``, discovered by file. A device has an
address: the name of its family and, after a colon, the device (``host``, ``adb:SERIAL``, ``ssh:user@board``,
``ethos-u:u55-256``). The result of an artifact is a ``Row``. Its cell is a measurement, a compiler's estimate, a
simulation (correctness without latency), or a ``Skipped`` with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from clearport.base import Artifact, Skipped
from clearport.errors import RuntimeFailure, check_finite
from clearport.protocols import Progress
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.latency.record import LatencyPlan, LatencyReport

if TYPE_CHECKING:
    from clearport.base import Array

Unit = Literal["cpu", "gpu", "npu"]
UNITS: tuple[Unit, ...] = ("cpu", "gpu", "npu")


class DeviceLost(RuntimeFailure):
    """The device is lost (unplugged, full, unreachable): its remaining jobs are skipped, other devices continue."""


@dataclass(frozen=True)
class Found:
    """A device that ``clearport devices`` lists.

    Attributes:
        address: the value for ``--device``.
        title: description for users.
        units: the units that it supports.
        parts: installed dependency -> version.
        obstacle: the reason that it cannot be used now, with a remedy, or None.
    """

    address: str
    title: str
    units: tuple[Unit, ...]
    parts: Mapping[str, str] = field(default_factory=dict)
    obstacle: str | None = None


@dataclass(frozen=True)
class Settings:
    """User settings for devices besides their address.

    Attributes:
        python: the interpreter on the device, for phones and boards (default: ``python3`` there).
        benchmark_model: LiteRT's ``benchmark_model`` for the phone's processor.
        identity: private key file for SSH (default: those of the user's SSH agent and ``~/.ssh``).
        known_hosts: file of pinned host keys for SSH (default: the user's own).
        timeout_s: maximum seconds of one step on the device.
        runners: only these runners (names of ``runtime/runners/<name>.py``); empty for all that fit.
        keep: folder for outputs of NPU compilers (``_vela.tflite``, context binaries); None: they are not kept.
    """

    python: str = ""
    benchmark_model: Path | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    timeout_s: float = 120.0
    runners: tuple[str, ...] = ()
    keep: Path | None = None

    def __post_init__(self) -> None:
        check_finite("--timeout", self.timeout_s)


@dataclass(frozen=True)
class Job:
    """One artifact on one unit of a device.

    Attributes:
        artifact: the file.
        unit: the unit to run on.
        inputs: raw tensors by name, in the artifact's dtype and layout.
        label: its name in rows (default: the artifact's key), for keys that several jobs share.
        baseline: label of the job to which its time is compared, or None.
    """

    artifact: Artifact
    unit: Unit
    inputs: Mapping[str, Array]
    label: str = ""
    baseline: str | None = None

    @property
    def name(self) -> str:
        """Its name in rows."""
        return self.label or self.artifact.key


@dataclass(frozen=True)
class Fallback:
    """An operator that an NPU's compiler leaves to the CPU; ``priced_ms`` is its modeled time there."""

    operator: str
    layer: str
    reason: str
    priced_ms: float | None


@dataclass(frozen=True)
class EstimateReport:
    """Estimate of one inference by an NPU's compiler. Nothing ran.

    Attributes:
        tool, tool_versions: the compiler.
        chip: the accelerator and its configuration.
        estimated_ms: one inference, including ``fallback_ms``.
        npu_ms, fallback_ms: the accelerator's time by the compiler, and the modeled time of operators on the CPU.
        cycles: cycles of the accelerator.
        operators_per_unit: unit -> operator -> count.
        memory_bytes: area (``sram``, ``dram``, ``flash`` ...) -> bytes used.
        warnings: obstacles to use on a real chip, such as an arena larger than its memory.
    """

    kind: Literal["compiler-estimate"]
    tool: str
    tool_versions: Mapping[str, str]
    chip: str
    unit_asked: str
    estimated_ms: float
    npu_ms: float
    fallback_ms: float
    cycles: int
    operators_per_unit: Mapping[str, Mapping[str, int]]
    fallbacks: tuple[Fallback, ...]
    memory_bytes: Mapping[str, int]
    warnings: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SimulatedReport:
    """An artifact ran on a simulator or a unit emulated in software: its outputs are valid, its latency is not.

    ``why`` says what is simulated. ``unit_ran`` and ``operators_per_unit`` are reported by the runtime.
    """

    kind: Literal["simulated"]
    runtime: str
    runtime_versions: Mapping[str, str]
    why: str
    unit_asked: str
    unit_ran: str
    operators_per_unit: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


Cell = LatencyReport | EstimateReport | SimulatedReport | Skipped


def cell_of(report: LatencyReport | Skipped) -> Cell:
    """A measured report, converted to a simulated one (without times) if its unit is emulated."""
    if isinstance(report, Skipped) or not (why := report.facts.get("emulated")):
        return report
    return SimulatedReport(
        kind="simulated",
        runtime=report.runtime,
        runtime_versions=report.runtime_versions,
        why=str(why),
        unit_asked=report.unit_asked,
        unit_ran=report.unit_ran,
        operators_per_unit=report.operators_per_unit,
        facts=report.facts,
    )


@dataclass(frozen=True)
class Row:
    """The result of one job with one runner. ``outputs`` are raw tensors by name; empty if nothing ran."""

    device: str
    artifact: str
    unit: Unit
    runner: str
    cell: Cell
    outputs: Mapping[str, Array] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """``device artifact unit runner``: unique in a record, and stable across runs."""
        return " ".join((self.device, self.artifact, self.unit, self.runner))


class DeviceSession(Protocol):
    """An open device; everything placed on it is removed when it is closed."""

    def facts(self) -> Mapping[str, Any]:
        """Model, system, processor and memory of the device; JSON values."""
        ...

    def conditions(self) -> Conditions:
        """Current temperatures and clocks."""
        ...

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Run, check and time every job; yields each row when it is done. A failed job yields a ``Skipped`` row.

        Raises:
            DeviceLost: the device is lost; rows already yielded remain valid.
        """
        ...


@runtime_checkable
class Device(Protocol):
    """A family of devices; see the module."""

    name: str
    title: str

    def found(self) -> Sequence[Found]:
        """The devices available now; if none is, one entry whose ``obstacle`` names a remedy."""
        ...

    def check(self, address: str, settings: Settings) -> None:
        """Check an address without contacting the device, before the first of several is measured.

        Raises:
            BadInput: invalid address, missing file of ``settings``, or missing library that is needed to parse the
                address.
        """
        ...

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        """Connect to the device of an address.

        Raises:
            BadInput: invalid address, or a dependency is not installed.
            DeviceLost: it does not answer.
        """
        ...
