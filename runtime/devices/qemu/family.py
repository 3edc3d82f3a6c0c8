"""Arm kernels without an Arm processor: artifacts in aarch64 runtimes under QEMU's user-mode emulation.

``qemu:cortex-a53`` lacks dot-product instructions and ``qemu:cortex-a76`` has those of Armv8.2, so that runtimes choose
different kernels. Emulation computes correctly, but its time means nothing: rows are simulated, never measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.base import Skipped
from clearport.errors import BadInput, ClearportError
from clearport.protocols import Progress
from clearport.runtime.devices.device import DeviceSession, Found, Job, Row, Settings, SimulatedReport
from clearport.runtime.devices.qemu.arm64 import Userland, userland
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.latency.record import LatencyPlan

PROCESSORS = {"cortex-a53": "Armv8.0", "cortex-a76": "Armv8.2 with dot products"}
_RUNNERS = {"tflite": "litert", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class QemuSession:
    """See ``clearport.runtime.devices.device.DeviceSession``."""

    cpu: str
    arm: Userland
    settings: Settings

    def facts(self) -> Mapping[str, Any]:
        """The emulated processor, the emulator and the interpreter."""
        return {
            "cpu": f"{self.cpu} ({PROCESSORS[self.cpu]}), emulated",
            "machine": "aarch64",
            "emulator": f"QEMU {self.arm.record['qemu']}",
            "python": self.arm.record["python"],
        }

    def conditions(self) -> Conditions:
        """Empty: an emulated processor has no temperature or clock."""
        return Conditions()

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Run every job once; nothing is timed (see the module)."""
        for done, job in enumerate(jobs):
            progress(f"{self.cpu}: running {job.name}", done, len(jobs))
            yield self._row(job, plan)

    def _row(self, job: Job, plan: LatencyPlan) -> Row:
        address, runner = f"qemu:{self.cpu}", _RUNNERS.get(job.artifact.target, "")
        if reason := self._unfit(job, runner):
            return Row(address, job.name, job.unit, runner, Skipped(job.name, reason))
        try:
            outputs, facts = self._run(job, runner, plan.threads)
        except ClearportError as error:
            return Row(address, job.name, job.unit, runner, Skipped(job.name, str(error)))
        return Row(address, job.name, job.unit, runner, self._report(facts, job), outputs)

    def _unfit(self, job: Job, runner: str) -> str | None:
        if not runner or (self.settings.runners and runner not in self.settings.runners):
            return f"no runner for {job.artifact.target} files is in the aarch64 userland"
        return None if job.unit == "cpu" else f"QEMU emulates a processor, not a {job.unit}"

    def _run(self, job: Job, runner: str, threads: int) -> tuple[dict[str, Array], dict[str, Any]]:
        path = job.artifact.path
        launch = self.arm.launch(self.cpu, path.absolute())
        with Worker(runner, path, threads, self.settings.timeout_s, launch=launch) as worker:
            return worker.run(job.inputs), worker.facts()

    def _report(self, facts: Mapping[str, Any], job: Job) -> SimulatedReport:
        return SimulatedReport(
            kind="simulated",
            runtime=facts["runner"],
            runtime_versions={name: version or "unknown" for name, version in facts["versions"].items()},
            why=f"QEMU {self.arm.record['qemu']} emulates a {self.cpu}: its outputs are valid, its latency is not",
            unit_asked=job.unit,
            unit_ran=facts["unit"],
            operators_per_unit={facts["unit"]: facts["operators"]},
            facts={key: facts[key] for key in ("executed_precision", "partitions", "delegate") if key in facts},
        )


class QemuDevice:
    """See ``clearport.runtime.devices.device.Device``."""

    name = "qemu"
    title = "Arm processors under QEMU (correctness, no latency)"

    def found(self) -> Sequence[Found]:
        parts, obstacle = {}, None
        try:
            record = userland().record
            parts = {**record["versions"], "python": record["python"], "qemu": record["qemu"]}
        except BadInput as error:
            obstacle = str(error)
        return [Found(f"qemu:{cpu}", f"{cpu}, {has}", ("cpu",), parts, obstacle) for cpu, has in PROCESSORS.items()]

    def check(self, address: str, settings: Settings) -> None:
        del settings
        if address.partition(":")[2] not in PROCESSORS:
            raise BadInput(f"--device {address}: the processors are {', '.join(f'qemu:{name}' for name in PROCESSORS)}")

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        self.check(address, settings)
        return nullcontext(QemuSession(address.partition(":")[2], userland(), settings))


DEVICE = QemuDevice()
