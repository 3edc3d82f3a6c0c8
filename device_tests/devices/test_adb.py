"""A phone over adb, end to end on loopback: a real server, Debian's adbd, and an aarch64 Python behind it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearport.base import Artifact, Skipped
from clearport.bundle.folder import Bundle
from clearport.disk.files import digest
from clearport.errors import BadInput, RuntimeFailure
from clearport.pipeline.bench import bench_bundle
from clearport.pipeline.benching.values import BenchRequest
from clearport.protocols import no_progress
from clearport.registry import DEVICES
from clearport.runtime.devices.adb import family as on_adb
from clearport.runtime.devices.adb import shell as adb_shell
from clearport.runtime.devices.adb.shell import AdbShell
from clearport.runtime.devices.device import DeviceLost, DeviceSession, Job, Row, Settings
from clearport.runtime.devices.qemu.arm64 import place, userland
from clearport.runtime.devices.remote import session as remote
from clearport.runtime.latency.record import LatencyPlan, LatencyReport
from clearport.runtime.parity import ParityReport
from clearport.runtime.worker.worker import Worker
from device_tests.devices import loopback_adb
from device_tests.devices.loopback_adb import SERIAL, LoopbackPhone

ADDRESS = f"adb:{SERIAL}"
QUICK = LatencyPlan(rounds=2, runs=2, warmup=1, min_seconds=0.0, max_seconds=5.0)
SETTINGS = Settings(timeout_s=280.0)  # Python starts slowly on an emulated processor
HANGS_S = 60.0
STAND_IN = Path(__file__).with_name("benchmark_model.py")
RUNNERS = {"tflite": "litert", "onnxruntime": "onnxruntime"}

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackPhone]:
    """The phone, and adb's clients told of its server."""
    try:
        adb = adb_shell.program()
    except BadInput as error:
        pytest.skip(str(error))
    if reason := loopback_adb.missing(place() / "tools", adb):
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADB_SERVER_SOCKET", f"localfilesystem:{tmp_path_factory.mktemp('adb') / 's'}")
        patch.setenv("ADB_MDNS", "0")
        with loopback_adb.loopback_phone(place() / "tools", adb) as phone:
            patch.setattr(on_adb, "FOLDER", str(phone.folder / "data/clearport"))
            yield phone


@pytest.fixture
def phone(on: LoopbackPhone) -> Iterator[LoopbackPhone]:
    """The phone, and switched on again after a test that killed it."""
    yield on
    if AdbShell((on.adb,), SERIAL).lost():
        on.start()


@pytest.fixture
def arm_phone(phone: LoopbackPhone) -> Iterator[LoopbackPhone]:
    """The phone with an aarch64 Python."""
    try:
        phone.use(userland().command("cortex-a76"))
    except BadInput as error:
        pytest.skip(str(error))
    yield phone
    phone.use([sys.executable])


@pytest.fixture(scope="module")
def bundle(int8_pair: Bundle) -> Bundle:
    """NCNet in int8 for both runtimes."""
    return int8_pair


@pytest.fixture(scope="module")
def artifacts(bundle: Bundle) -> dict[str, Artifact]:
    """Its files by target."""
    return {record.target: bundle.artifact(record) for record in bundle.artifacts if record.variant != "ort"}


def job_of(artifact: Artifact, label: str = "") -> Job:
    spec = artifact.inputs[0]
    noise = np.random.default_rng(0).integers(0, 256, [int(n) for n in spec.shape], np.uint8)
    return Job(artifact, "cpu", {spec.name: noise.view(spec.dtype)}, label)


def here(job: Job) -> dict[str, Any]:
    """What this machine's runtime makes of a job."""
    with Worker(RUNNERS[job.artifact.target], job.artifact.path) as worker:
        return worker.run(job.inputs)


def measured(session: DeviceSession, jobs: list[Job], plan: LatencyPlan = QUICK) -> list[Row]:
    return list(session.measure(jobs, plan, no_progress))


def check(row: Row, job: Job) -> LatencyReport:
    """A row that was measured, and whose output is this machine's to the bit."""
    assert isinstance(row.cell, LatencyReport), row.cell
    for name, expected in here(job).items():
        assert np.array_equal(row.outputs[name], expected)
    return row.cell


def test_the_phone_is_listed_and_may_be_used(phone: LoopbackPhone) -> None:
    found = {entry.address: entry for entry in DEVICES.get("adb").found()}
    assert found[ADDRESS].obstacle is None
    assert found[ADDRESS].parts == {"adb": phone.adb}


def test_another_address_is_refused_with_those_that_are_there(phone: LoopbackPhone) -> None:
    with pytest.raises(BadInput, match=ADDRESS), DEVICES.get("adb").open("adb:nobody", SETTINGS):
        pass


def test_the_shell_passes_bytes_streams_and_exit_codes(phone: LoopbackPhone, tmp_path: Path) -> None:
    shell = AdbShell((phone.adb,), SERIAL)
    done = shell.run("echo out; echo err >&2; exit 7", 60.0)
    assert (done.code, done.out, done.err) == (7, "out\n", "err\n")
    assert shell.run("kill -9 $$", 60.0).code == 128 + signal.SIGKILL
    data = bytes(range(256)) * 300
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(data)
    shell.push(sent, f"{phone.folder}/pushed")
    shell.pull(f"{phone.folder}/pushed", back)
    assert back.read_bytes() == data
    with pytest.raises(RuntimeFailure, match="No such file"):
        shell.pull(f"{phone.folder}/nothing", back)


def test_a_command_that_hangs_is_ended_on_both_sides(phone: LoopbackPhone) -> None:
    shell = AdbShell((phone.adb,), SERIAL)
    with pytest.raises(RuntimeFailure, match="gave no answer within 2 s"):
        shell.run("exec sleep 4242", 2.0)
    deadline = time.monotonic() + 20
    while "4242" in shell.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o '^sleep 4242'; true", 60.0).out:
        assert time.monotonic() < deadline, "it still runs on the phone"
        time.sleep(0.2)


def test_files_run_on_the_phone_and_nothing_is_left_there(
    arm_phone: LoopbackPhone, artifacts: dict[str, Artifact]
) -> None:
    jobs = [job_of(artifact) for artifact in artifacts.values()]
    with DEVICES.get("adb").open(ADDRESS, SETTINGS) as session:
        facts = session.facts()
        assert facts["machine"] == "aarch64"
        assert facts["cores"] == os.cpu_count()
        session.conditions()
        rows = measured(session, jobs)
    assert [row.device for row in rows] == [ADDRESS] * len(jobs)
    for row, job in zip(rows, jobs, strict=True):
        report = check(row, job)
        assert (report.unit_ran, report.runtime, len(report.samples_ms)) == ("cpu", RUNNERS[job.artifact.target], 4)
    assert not (arm_phone.folder / "data").exists()
    assert not arm_phone.running()


def test_a_phone_that_is_unplugged_leaves_the_rows_so_far(
    phone: LoopbackPhone, artifacts: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    jobs = [job_of(artifacts["tflite"], "first"), job_of(artifacts["tflite"], "second")]
    rows: list[Row] = []

    def unplug(stage: str, done: int, total: int) -> None:
        if "loading second" in stage:
            phone.stop()

    with (
        pytest.raises(DeviceLost, match=f"{ADDRESS}.*(offline|gone)"),
        DEVICES.get("adb").open(ADDRESS, SETTINGS) as session,
    ):
        rows.extend(session.measure(jobs, QUICK, unplug))
    assert [row.artifact for row in rows] == ["first"]
    check(rows[0], jobs[0])
    found = next(entry for entry in DEVICES.get("adb").found() if entry.address == ADDRESS)
    assert found.obstacle is not None
    assert "plug it in again" in found.obstacle
    with pytest.raises(DeviceLost, match="plug it in again"), DEVICES.get("adb").open(ADDRESS, SETTINGS):
        pass


def test_a_file_that_does_not_fit_is_skipped_and_the_others_run(
    phone: LoopbackPhone, artifacts: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_adb, "FOLDER", str(phone.small / "clearport"))
    large = tmp_path / "large.tflite"
    large.write_bytes(artifacts["tflite"].path.read_bytes() + bytes(loopback_adb.SMALL_MIB << 20))
    too_large = replace(artifacts["tflite"], path=large, sha256=digest(large))
    jobs = [job_of(too_large, "too large"), job_of(artifacts["tflite"], "fits")]
    with DEVICES.get("adb").open(ADDRESS, SETTINGS) as session:
        rows = {row.artifact: row for row in measured(session, jobs)}
    assert isinstance(rows["too large"].cell, Skipped)
    assert "is full" in rows["too large"].cell.reason
    check(rows["fits"], jobs[1])


@pytest.mark.slow
def test_a_runtime_that_hangs_is_ended_there_and_skipped(phone: LoopbackPhone, artifacts: dict[str, Artifact]) -> None:
    def freeze(stage: str, done: int, total: int) -> None:
        processes = phone.running() if "measuring" in stage else []
        for process in processes:
            status = Path(f"/proc/{process}/status").read_text()
            if int(status.partition("PPid:")[2].split()[0]) in processes:  # the worker; its guard goes on
                os.kill(process, signal.SIGSTOP)

    with DEVICES.get("adb").open(ADDRESS, replace(SETTINGS, timeout_s=HANGS_S)) as session:
        rows = list(session.measure([job_of(artifacts["tflite"])], QUICK, freeze))
    assert isinstance(rows[0].cell, Skipped)
    assert f"gave no answer within {HANGS_S:g} s" in rows[0].cell.reason
    deadline = time.monotonic() + 20
    while phone.running():
        assert time.monotonic() < deadline, "it still runs on the phone"
        time.sleep(0.2)


def test_benchmark_model_is_pushed_run_and_read(
    phone: LoopbackPhone, artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    tool = tmp_path / "benchmark_model"
    tool.write_text("#!/usr/bin/env python3\n" + STAND_IN.read_text())
    settings = replace(SETTINGS, benchmark_model=tool)
    jobs = [job_of(artifact) for artifact in artifacts.values()]
    with DEVICES.get("adb").open(ADDRESS, replace(settings, runners=("benchmark_model",))) as session:
        rows = {row.artifact: row for row in measured(session, jobs)}
    report = check(rows["tflite/int8"], jobs[0])
    assert (report.runtime, report.unit_ran, report.runs_per_round, len(report.samples_ms)) == (
        "benchmark_model",
        "cpu",
        3,
        6,
    )
    assert report.peak_memory_mib
    assert report.cpu_median_ms is None
    assert isinstance(rows["onnxruntime/int8"].cell, Skipped)


def test_the_tool_of_compiled_models_is_read_too_and_no_picture_judged(
    phone: LoopbackPhone, artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    tool = tmp_path / "benchmark_model"
    source = STAND_IN.read_text().replace("COMPILED = False", "COMPILED = True")
    tool.write_text(f"#!/usr/bin/env python3\n{source}")
    settings = replace(SETTINGS, benchmark_model=tool, runners=("benchmark_model",))
    jobs = [replace(job_of(artifacts["tflite"]), unit=unit) for unit in ("cpu", "npu")]
    with DEVICES.get("adb").open(ADDRESS, settings) as session:
        rows = {row.unit: row for row in measured(session, jobs)}
    report = rows["cpu"].cell
    assert isinstance(report, LatencyReport), report
    assert (report.unit_ran, report.runs_per_round, len(report.samples_ms)) == ("cpu", 3, 6)
    assert report.init_ms
    assert report.first_inference_ms
    assert report.peak_memory_mib
    assert rows["cpu"].outputs == {}
    assert "fills inputs with random numbers" in report.facts["no_output"]
    assert isinstance(rows["npu"].cell, Skipped)
    assert "libLiteRtDispatch_*.so" in rows["npu"].cell.reason


def test_a_tool_for_another_processor_is_told_as_such(
    phone: LoopbackPhone, artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"\x7fELF but for nobody")
    settings = replace(SETTINGS, benchmark_model=tool)
    with DEVICES.get("adb").open(ADDRESS, settings) as session:
        (row,) = measured(session, [job_of(artifacts["tflite"])])
    assert isinstance(row.cell, Skipped)
    assert row.cell.reason.startswith(f"benchmark_model on {ADDRESS}: it does not answer --help")


def test_an_unplugged_phone_is_in_the_record_and_a_bench_resumes(
    phone: LoopbackPhone, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "AT_ONCE", 1)
    request = BenchRequest(bundle.folder, (ADDRESS,), runs=4, seconds=0, settings=SETTINGS, json=tmp_path / "b.json")
    seen: list[str] = []

    def unplug(stage: str, done: int, total: int) -> None:
        if "loading" in stage and stage not in seen:
            seen.append(stage)
            if len(seen) == 2:
                phone.stop()

    first = bench_bundle(request, unplug)
    (device,) = first.record.devices
    assert device.lost is not None
    assert "offline" in device.lost
    done = [row for row in first.rows if isinstance(row.cell, LatencyReport)]
    assert len(done) == 1
    assert isinstance(done[0].golden, ParityReport)
    assert done[0].golden.passed
    phone.start()
    again = bench_bundle(replace(request, resume=True))
    assert done[0].key not in again.fresh
    assert all(isinstance(row.cell, LatencyReport) for row in again.rows)
    assert len(again.rows) == len(bundle.artifacts)
