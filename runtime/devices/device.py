"""Where artifacts run: this machine, a phone, a board, a browser, or what the compiler of an NPU makes of them.

``runtime/devices/<name>/family.py`` defines one family of devices as ``DEVICE``, found by file. A device is named by
an address: the name of its family, and after a colon which one (``host``, ``adb:SERIAL``, ``ssh:user@board``,
``ethos-u:u55-256``). What comes of an artifact there is a ``Row``. Its cell is measured, a compiler's estimate, or a
simulator's correctness without latency, and says which; or it is a ``Skipped`` with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from clearport.base import Artifact, Skipped
from clearport.errors import RuntimeFailure
from clearport.protocols import Progress
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.latency.record import LatencyPlan, LatencyReport

if TYPE_CHECKING:
    from clearport.base import Array

Unit = Literal["cpu", "gpu", "npu"]
UNITS: tuple[Unit, ...] = ("cpu", "gpu", "npu")


class DeviceLost(RuntimeFailure):
    """The device is gone (unplugged, full, unreachable): what was to run there is skipped, other devices go on."""


@dataclass(frozen=True)
class Found:
    """A device that ``clearport devices`` lists.

    Attributes:
        address: what ``--device`` takes.
        title: what it is, for people.
        units: what may be asked of it.
        parts: what it needs and is there -> its version.
        obstacle: why it cannot be used now and how to get there; None: it can.
    """

    address: str
    title: str
    units: tuple[Unit, ...]
    parts: Mapping[str, str] = field(default_factory=dict)
    obstacle: str | None = None


@dataclass(frozen=True)
class Settings:
    """What the user says of devices beyond their address.

    Attributes:
        python: the interpreter on the device, for phones and boards (default: ``python3`` there).
        benchmark_model: LiteRT's ``benchmark_model`` for the phone's processor.
        identity: private key file for SSH (default: those of the user's SSH agent and ``~/.ssh``).
        known_hosts: file of pinned host keys for SSH (default: the user's own).
        timeout_s: longest time of one step on the device.
        runners: only these runners (names of ``runtime/runners/<name>.py``); empty for all that fit.
        keep: folder that keeps what compilers of NPUs make (``_vela.tflite``, context binaries); None: nothing is kept.
    """

    python: str = ""
    benchmark_model: Path | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    timeout_s: float = 120.0
    runners: tuple[str, ...] = ()
    keep: Path | None = None


@dataclass(frozen=True)
class Job:
    """One artifact on one unit of a device.

    Attributes:
        artifact: the file.
        unit: what it is to run on.
        inputs: raw tensors by name, in the artifact's own dtype and layout.
        label: what its row calls it, where the artifact's own key is taken by another (default: that key).
        baseline: label of the job that its time is put in relation to; None: of none.
    """

    artifact: Artifact
    unit: Unit
    inputs: Mapping[str, Array]
    label: str = ""
    baseline: str | None = None

    @property
    def name(self) -> str:
        """What its row calls it."""
        return self.label or self.artifact.key


@dataclass(frozen=True)
class Fallback:
    """An operator that an NPU's compiler left to the CPU; ``priced_ms`` is what it is taken to cost there."""

    operator: str
    layer: str
    reason: str
    priced_ms: float | None


@dataclass(frozen=True)
class EstimateReport:
    """What the compiler of an NPU says that an inference takes. Nothing ran.

    Attributes:
        tool, tool_versions: the compiler.
        chip: the accelerator and its configuration.
        estimated_ms: of one inference, with ``fallback_ms``.
        npu_ms, fallback_ms: of the accelerator by the compiler, and of the operators on the CPU as priced here.
        cycles: of the accelerator.
        operators_per_unit: unit -> operator -> how many.
        memory_bytes: area (``sram``, ``dram``, ``flash`` ...) -> bytes that are used.
        warnings: what stands against a use on a real chip, such as an arena that no chip has.
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
    """An artifact ran on a simulator, or on a unit that is emulated in software: its numbers hold, its time does not.

    ``why`` says what is simulated. ``unit_ran`` and ``operators_per_unit`` are the runtime's word.
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
    """A measured record as it may be shown: without its times where what ran is emulated."""
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
    """What came of one job by one runner. ``outputs`` are raw tensors by name; empty where nothing ran."""

    device: str
    artifact: str
    unit: Unit
    runner: str
    cell: Cell
    outputs: Mapping[str, Array] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """``device artifact unit runner``: unique in a record, and the same again in the next run."""
        return " ".join((self.device, self.artifact, self.unit, self.runner))


class DeviceSession(Protocol):
    """A device that was opened, on which nothing is left behind that was not there before."""

    def facts(self) -> Mapping[str, Any]:
        """What the device is: model, system, processor, memory; JSON values."""
        ...

    def conditions(self) -> Conditions:
        """Temperatures and clocks now."""
        ...

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Run, check and time every job; each row comes when it is done. A job that fails is a ``Skipped`` row.

        Raises:
            DeviceLost: the device is gone; the rows so far stand.
        """
        ...


@runtime_checkable
class Device(Protocol):
    """A family of devices; see the module."""

    name: str
    title: str

    def found(self) -> Sequence[Found]:
        """What is there right now; where nothing is, one entry whose ``obstacle`` says how to get there."""
        ...

    def check(self, address: str, settings: Settings) -> None:
        """See that an address could be one, without asking the device: before the first of several is measured.

        Raises:
            BadInput: there is no such address, a file of ``settings`` is not there, or reading the address takes a
                library that is missing.
        """
        ...

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        """Connect to the device of an address.

        Raises:
            BadInput: there is no such address, or what it needs is not installed.
            DeviceLost: it does not answer.
        """
        ...
