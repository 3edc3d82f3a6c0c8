"""The artifacts of a bundle on devices: measured, estimated or simulated, each checked on the golden picture.

Rows are saved as they arrive: a lost device or Ctrl-C loses no finished row, and a run with ``resume`` completes the
rest.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clearport import __version__, problems
from clearport.base import Skipped
from clearport.bundle.bench_file import BenchFile, wanted
from clearport.bundle.bench_record import BenchedDevice, BenchedModel, BenchPlan, BenchRecord, BenchRow
from clearport.bundle.folder import Bundle, changing
from clearport.disk.outputs import OutFolder, claimed
from clearport.errors import BadInput
from clearport.pipeline.benching.compare import compared
from clearport.pipeline.benching.jobs import Candidate, candidates_of, golden_of, jobs_for
from clearport.pipeline.benching.record import differences
from clearport.pipeline.benching.values import BASELINE, HOST, BenchOutcome, BenchRequest
from clearport.pipeline.devices import family_of
from clearport.pipeline.exams import sample_of
from clearport.protocols import no_progress
from clearport.runtime.devices.device import UNITS, Device, DeviceLost, DeviceSession, Job, Row, Unit
from clearport.runtime.latency.conditions import Conditions
from clearport.runtime.latency.record import LatencyPlan
from clearport.runtime.latency.stats import rounds_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearport.protocols import Progress


def bench_bundle(request: BenchRequest, progress: Progress = no_progress) -> BenchOutcome:
    """Run, check and time the requested artifacts on the requested devices.

    Raises:
        BadInput: there is no bundle, it has no such artifact, or no such device or unit, or an output cannot be
            written.
    """
    keep = request.settings.keep
    folder = None if keep is None else OutFolder(keep, "--keep", shared=True)
    reads = (request.folder,) if request.against is None else (request.folder, request.against)
    recording = changing(request.folder, "--record") if request.record else nullcontext()
    with (
        claimed(wanted(request.json), folder, reads=reads),
        BenchFile(request.json, resume=request.resume) as file,
        recording,
    ):
        return _benched(request, file, progress)


def _benched(request: BenchRequest, file: BenchFile, progress: Progress) -> BenchOutcome:
    devices = [(address, family_of(address)) for address in request.devices]
    for address, device in devices:
        device.check(address, request.settings)
    bundle = Bundle.load(request.folder)
    candidates = candidates_of(bundle, request)
    recorder = _Recorder(request, bundle, candidates, file)
    for address, device in devices:
        jobs = [j for unit in _units(request, device, address) for j in jobs_for(candidates, address == HOST, unit)]
        _on_device(recorder, device, address, jobs, progress)
    record = recorder.record()
    if request.older is not None:
        found = compared(record, request.older, request.max_slowdown)
        record = record.model_copy(update={"compared": found})
    file.save(record, last=True)
    return BenchOutcome(bundle, record, frozenset(recorder.fresh), file.problem)


def _units(request: BenchRequest, device: Device, address: str) -> tuple[Unit, ...]:
    unknown = [unit for unit in request.units if unit not in UNITS]
    if unknown:
        raise BadInput(f"--unit {unknown[0]}: unknown unit (available: {', '.join(UNITS)})")
    if request.units:
        return tuple(unit for unit in UNITS if unit in request.units)
    if address == HOST:
        return ("cpu",)
    found = list(device.found())
    own = [f for f in found if f.address == address] or found
    return own[0].units[:1] if own and own[0].units else ("cpu",)


class _Recorder:
    """The growing record."""

    def __init__(self, request: BenchRequest, bundle: Bundle, candidates: Sequence[Candidate], file: BenchFile) -> None:
        self.request, self._bundle, self._file = request, bundle, file
        self._candidates = {candidate.label: candidate for candidate in candidates}
        self.fresh: set[str] = set()
        self._rows: dict[str, BenchRow] = {}
        self._devices: dict[str, BenchedDevice] = {}
        if file.earlier is not None:
            self._take_over(file.earlier)

    def _take_over(self, old: BenchRecord) -> None:
        if different := differences(old.model, self._model(), old.plan, self._plan()):
            raise BadInput(
                f"{self.request.json}: cannot be resumed, because {'; '.join(different)}. Use the same "
                "options, leave out --resume, or name another file"
            )
        self._devices = {device.address: device for device in old.devices}
        self._rows = {
            row.key: row
            for row in old.rows
            if not isinstance(row.cell, Skipped) and row.sha256 == self._sha256(row.artifact)
        }

    def done(self, address: str, job: Job) -> bool:
        """Whether this job already has a row."""
        return any((r.device, r.artifact, r.unit) == (address, job.name, job.unit) for r in self._rows.values())

    def write(self, row: Row) -> None:
        """Check a row against its golden picture and save it."""
        self._rows.pop(row.key, None)
        self._rows[row.key] = self._judged(row)
        self.fresh.add(row.key)
        self._file.save(self.record())

    def _judged(self, row: Row) -> BenchRow:
        candidate = self._candidates.get(row.artifact)
        golden = golden_of(candidate, row) if candidate else Skipped(row.key, "the bundle has no such artifact")
        return BenchRow(
            device=row.device,
            artifact=row.artifact,
            sha256=self._sha256(row.artifact),
            unit=row.unit,
            runner=row.runner,
            cell=row.cell,
            golden=golden,
        )

    def note(self, device: BenchedDevice) -> None:
        """Save a device's self-reported facts."""
        self._devices[device.address] = device
        self._file.save(self.record())

    def record(self) -> BenchRecord:
        return BenchRecord(
            clearport=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            model=self._model(),
            plan=self._plan(),
            devices=tuple(self._devices.values()),
            rows=tuple(self._rows.values()),
        )

    def _sha256(self, label: str) -> str:
        candidate = self._candidates.get(label)
        return candidate.artifact.sha256 if candidate else ""

    def _model(self) -> BenchedModel:
        model = self._bundle.manifest.model
        first = next(iter(sample_of(self._bundle).values()))
        return BenchedModel(
            name=model.name,
            scale=model.scale,
            size=model.size,
            input_size=f"{first.shape[0]}x{first.shape[1]}",
            macs=model.macs,
            weights_sha256=model.weights_sha256,
        )

    def _plan(self) -> BenchPlan:
        r = self.request
        return BenchPlan(threads=r.threads, runs=r.runs, seconds=r.seconds, sustained_s=r.sustained_s, pin=r.pin)


def _on_device(recorder: _Recorder, device: Device, address: str, jobs: Sequence[Job], progress: Progress) -> None:
    """Run everything on one device; any failure becomes a row with a reason."""
    todo = [job for job in jobs if not recorder.done(address, job)]
    if not any(job.name != BASELINE for job in todo):
        return
    request = recorder.request
    seen: set[tuple[str, str]] = set()
    about = BenchedDevice(address=address, facts={}, before=Conditions(), after=Conditions())
    try:
        with device.open(address, request.settings) as session:
            about = about.model_copy(update={"facts": dict(session.facts()), "before": session.conditions()})
            for row in session.measure(todo, _plan(request), progress):
                seen.add((row.artifact, row.unit))
                recorder.write(row)
            about = about.model_copy(update={"after": _after(session, about.before)})
    except problems.UNEXPECTED as error:
        if isinstance(error, BadInput) and not recorder.fresh:
            raise  # earlier measurements are kept
        said = problems.told(error, f"measuring on {address}")
        about = about.model_copy(update={"lost": said})
        for job in todo:
            if (job.name, job.unit) not in seen:
                recorder.write(Row(address, job.name, job.unit, "", Skipped(job.name, said)))
    recorder.note(about)


def _after(session: DeviceSession, before: Conditions) -> Conditions:
    try:
        return session.conditions()
    except DeviceLost:
        return before


def _plan(request: BenchRequest) -> LatencyPlan:
    rounds, runs = rounds_for(request.runs)
    return LatencyPlan(
        rounds=rounds,
        runs=runs,
        min_seconds=request.seconds,
        max_seconds=3600.0,
        threads=request.threads,
        timeout_s=request.settings.timeout_s,
        pin=request.pin,
        sustained_s=request.sustained_s,
        profile=request.profile,
    )
