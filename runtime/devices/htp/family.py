"""Qualcomm's HTP by architecture: compiles a context binary for it, and checks outputs in a simulator.

    clearport bench BUNDLE --device htp:v75

Nothing is timed: cycle counts of the simulator vary between runs. ``Settings.keep`` keeps the context binary: an
``.onnx`` file with one EPContext node and the ``.bin`` beside it, which an app on that Snapdragon loads without
compilation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearport.base import Skipped
from clearport.disk.files import copy_file
from clearport.disk.leftovers import Scratch
from clearport.errors import BadInput, NotInstalled, RuntimeFailure
from clearport.protocols import Progress
from clearport.registry import installed_versions, missing
from clearport.runtime.devices.device import Cell, Device, Found, Job, Row, Settings, SimulatedReport
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.sessions import qnn_library
from clearport.runtime.worker.worker import Worker

if TYPE_CHECKING:
    from clearport.base import Array
    from clearport.runtime.latency.record import LatencyPlan

RUNNER = "onnxruntime_qnn"


class HtpSession:
    """An architecture; see ``clearport.runtime.devices.device.DeviceSession``."""

    def __init__(self, address: str, number: int, settings: Settings, folder: Path) -> None:
        self._address, self._number, self._settings, self._folder = address, number, settings, folder

    def facts(self) -> Mapping[str, Any]:
        return {"htp_arch": f"v{self._number}", "found_in": qnn_library.ARCHITECTURES[self._number]}

    def conditions(self) -> Conditions:
        return Conditions()

    def measure(self, jobs: Sequence[Job], plan: LatencyPlan, progress: Progress) -> Iterator[Row]:
        """Compile and simulate every int8 ONNX file; nothing is timed, so ``plan`` is ignored."""
        for number, job in enumerate(jobs):
            progress(f"simulating {job.name} on HTP v{self._number}", number, len(jobs))
            cell, outputs = self._cell(job)
            yield Row(self._address, job.name, job.unit, RUNNER, cell, outputs)
        progress("simulated", len(jobs), len(jobs))

    def _cell(self, job: Job) -> tuple[Cell, Mapping[str, Array]]:
        what = f"{job.name} on {self._address}"
        if job.unit != "npu":
            return Skipped(what, f"the HTP is an npu, not a {job.unit}"), {}
        if job.artifact.target != "onnxruntime" or job.artifact.path.suffix != ".onnx":
            return Skipped(what, "the HTP requires .onnx files"), {}
        if any(spec.dynamic for spec in job.artifact.inputs):
            return Skipped(what, "the HTP needs a fixed size: export with --size HEIGHTxWIDTH"), {}
        try:
            return self._simulate(job, self._compile(job))
        except RuntimeFailure as error:
            return Skipped(what, str(error)), {}

    def _compile(self, job: Job) -> dict[str, Any]:
        """Write the context binary; returns facts of the part of the file in it."""
        folder, keep = self._folder, self._settings.keep
        path = folder / f"{job.artifact.path.stem}_htp-v{self._number}.onnx"
        path.unlink(missing_ok=True)  # QNN does not overwrite a file
        options = {"htp_arch": f"v{self._number}", "context": str(path)}
        with Worker(RUNNER, job.artifact.path, timeout_s=self._settings.timeout_s, options=options):
            pass
        binaries = sorted(folder.glob(f"{path.stem}*.bin"))
        if not path.is_file() or not binaries:
            raise RuntimeFailure(f"{job.artifact.path}: QNN wrote no context binary")
        facts: dict[str, Any] = {"context_bytes": sum(binary.stat().st_size for binary in binaries)}
        if keep is not None:
            for made in (path, *binaries):
                copy_file(made, keep / made.name)
            facts["kept"] = [str(keep / made.name) for made in (path, *binaries)]
        return facts

    def _simulate(self, job: Job, facts: Mapping[str, Any]) -> tuple[Cell, Mapping[str, Array]]:
        options = {"htp_arch": f"v{self._number}"}
        with Worker(RUNNER, job.artifact.path, timeout_s=self._settings.timeout_s, options=options) as worker:
            outputs = worker.run(job.inputs)
            found = worker.facts()
        why = found.get("emulated") or "no latency: to measure it, run bench with --unit npu on a Snapdragon"
        report = SimulatedReport(
            kind="simulated",
            runtime=RUNNER,
            runtime_versions=found["versions"],
            why=str(why),
            unit_asked=job.unit,
            unit_ran=found["unit"],
            operators_per_unit=found["operators_per_unit"],
            facts={key: found[key] for key in ("htp_arch", "partitions", "executed_precision")} | dict(facts),
        )
        return report, outputs


class Htp:
    """See ``clearport.runtime.devices.device.Device``."""

    name = "htp"
    title = "Qualcomm HTP (compiled and simulated)"

    def found(self) -> Sequence[Found]:
        version = installed_versions((qnn_library.PACKAGE,))[qnn_library.PACKAGE]
        parts = {qnn_library.PACKAGE: version} if version else {}
        return [
            Found(f"{self.name}:v{number}", f"Qualcomm HTP v{number} ({where})", ("npu",), parts, _obstacle())
            for number, where in qnn_library.ARCHITECTURES.items()
        ]

    def check(self, address: str, settings: Settings) -> None:
        del settings
        self._architecture(address)

    def _architecture(self, address: str) -> int:
        family, _, which = address.partition(":")
        if family != self.name:
            raise BadInput(f"{address}: expected htp:v73 or another architecture")
        return qnn_library.architecture(which)

    @contextmanager
    def open(self, address: str, settings: Settings) -> Iterator[HtpSession]:
        number = self._architecture(address)
        if missing((qnn_library.PACKAGE,)):
            raise NotInstalled(qnn_library.PACKAGE, qnn_library.EXTRA)
        with Scratch("htp") as folder:
            yield HtpSession(address, number, settings, folder)


def _obstacle() -> str | None:
    if missing((qnn_library.PACKAGE,)):
        return str(NotInstalled(qnn_library.PACKAGE, qnn_library.EXTRA))
    return qnn_library.unavailable()


DEVICE: Device = Htp()
