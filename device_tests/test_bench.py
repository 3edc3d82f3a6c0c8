"""``clearport bench`` and ``clearport devices`` as a user calls them, on this machine."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from clearport.base import Skipped
from clearport.bundle.bench_record import BenchRecord
from clearport.bundle.folder import Bundle
from clearport.errors import BadInput
from clearport.pipeline.bench import bench_bundle
from clearport.pipeline.benching.values import BenchRequest
from clearport.registry import DEVICES
from clearport.runtime.devices.device import Device, Settings
from clearport.runtime.latency.record import LatencyReport
from device_tests.conftest import called

QUICK = ("--runs", "6", "--seconds", "0", "--quiet")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benched(exported: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    done = called("bench", exported.folder, *QUICK, "--target", "tflite,coreml", "--precision", "int8", "--json", path)
    assert done.code == 0, done.err
    return path


def rows(path: Path) -> dict[str, Any]:
    return {row["artifact"]: row for row in json.loads(path.read_text())["rows"]}


def test_the_record_holds_samples_units_and_goldens(benched: Path) -> None:
    found = rows(benched)
    measured = found["tflite/int8"]["cell"]
    assert measured["kind"] == "measured"
    assert len(measured["samples_ms"]) >= 6
    assert (measured["unit_asked"], measured["unit_ran"], measured["partitions"]) == ("cpu", "cpu", 1)
    assert measured["ratio"]["baseline"] == "pytorch"
    assert found["pytorch"]["cell"]["samples_ms"]
    assert found["tflite/int8"]["golden"]["passed"] is True
    assert found["coreml/int8/image"]["cell"].keys() >= {"what", "reason"} or found["coreml/int8/image"]["cell"]["kind"]
    (device,) = json.loads(benched.read_text())["devices"]
    assert device["facts"]["cpu"]
    assert device["lost"] is None


def test_the_record_reads_back_and_others_are_refused(benched: Path, tmp_path: Path) -> None:
    record = BenchRecord.load(benched)
    assert BenchRecord.model_validate_json(record.to_json()) == record
    broken = tmp_path / "broken.json"
    broken.write_text(benched.read_text().replace('"rows"', '"lines"'))
    with pytest.raises(BadInput, match="rows: Field required"):
        BenchRecord.load(broken)


def test_resume_keeps_what_was_measured_and_measures_the_rest(exported: Bundle, benched: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    shutil.copy(benched, path)
    before = rows(path)["tflite/int8"]
    request = BenchRequest(exported.folder, runs=6, seconds=0, targets=("tflite", "openvino"), precisions=("int8",))
    outcome = bench_bundle(BenchRequest(**{**vars(request), "json": path, "resume": True}))
    assert rows(path)["tflite/int8"] == before
    assert {key.split()[1] for key in outcome.fresh} == {"openvino/int8", "pytorch"} - (
        set() if "host pytorch cpu torch" in outcome.fresh else {"pytorch"}
    )
    assert isinstance(next(r for r in outcome.rows if r.artifact == "openvino/int8").cell, LatencyReport)
    again = bench_bundle(BenchRequest(**{**vars(request), "json": path, "resume": True}))
    assert not again.fresh


def test_resume_refuses_the_record_of_another_plan(exported: Bundle, benched: Path) -> None:
    done = called("bench", exported.folder, "--runs", "7", "--json", benched, "--resume", "--quiet")
    assert done.code == 2
    assert "it was measured with --runs 6 and this run has 7" in done.err
    assert "it was measured with --seconds 0 and this run has 1" in done.err
    assert called("bench", exported.folder, "--resume").code == 2


def test_two_bundles_take_turns_and_the_same_files_are_no_faster(exported: Bundle, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(exported.folder, twin)
    outcome = bench_bundle(
        BenchRequest(exported.folder, runs=90, seconds=0, targets=("tflite",), precisions=("int8",), against=twin)
    )
    cells = {row.artifact: row.cell for row in outcome.rows}
    mine = cells["tflite/int8"]
    assert isinstance(mine, LatencyReport)
    assert mine.ratio is not None
    assert mine.ratio.baseline == "tflite/int8 of twin"
    assert 0.5 < mine.ratio.low <= mine.ratio.value <= mine.ratio.high < 2
    theirs = cells["tflite/int8 of twin"]
    assert isinstance(theirs, LatencyReport)
    assert theirs.ratio is not None
    assert theirs.ratio.baseline == "pytorch"


def test_compare_says_what_it_can(exported: Bundle, benched: Path) -> None:
    line = ("bench", exported.folder, *QUICK, "--target", "tflite", "--precision", "int8")
    done = called(*line, "--compare", benched)
    assert done.code == 0, done.err
    assert "Compared with the record of" in done.out
    assert any(words in done.out for words in ("faster", "slower", "cannot tell", "not comparable"))
    threads = called(*line, "--compare", benched, "--threads", "2")
    assert "not comparable" in threads.out
    assert "threads: 2 now, 1 then" in threads.out


def test_rows_are_kept_in_the_bundle_and_its_report(bundle: Bundle) -> None:
    line = ("--target", "tflite", "--precision", "int8", "--record", "--sustained", "1", "--profile")
    done = called("bench", bundle.folder, *QUICK, *line)
    assert done.code == 0, done.err
    kept = Bundle.load(bundle.folder)
    assert {row.artifact for row in kept.manifest.device_rows} == {"pytorch", "tflite/int8"}
    assert kept.passed
    report = (bundle.folder / "report.md").read_text()
    assert "## Devices" in report
    assert "without a pause on host" in report
    assert "no profile: LiteRT's Python API has no profiler" in report
    assert "tflite/int8 litert: no profile: LiteRT's Python API has no profiler" in done.out
    assert not kept.verify_files()


def test_profiles_name_the_operators(exported: Bundle) -> None:
    request = BenchRequest(exported.folder, runs=6, seconds=0, profile=True, precisions=("int8",))
    outcome = bench_bundle(BenchRequest(**{**vars(request), "targets": ("onnxruntime", "openvino")}))
    for row in outcome.rows:
        if isinstance(row.cell, LatencyReport):
            assert row.cell.profile, row.key
            assert sum(op.ms for op in row.cell.profile) > 0
            assert any("onv" in op.operator for op in row.cell.profile), row.key


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--unit", "tpu"), "available: cpu, gpu, npu"),
        (("--require-unit", "tpu"), "available: cpu, gpu, npu"),
        (("--device", "toaster:1"), "unknown device 'toaster'"),
        (("--device", "host:1"), "nothing after it"),
        (("--pin", "a"), "expected processor numbers"),
        (("--pin", "-1"), "start at 0"),
        (("--compare", "nothing.json"), "nothing.json: no such file"),
        (("--against", "nothing"), "nothing"),
    ],
)
def test_bench_refuses_what_it_cannot_use(exported: Bundle, words: tuple[str, ...], told: str) -> None:
    done = called("bench", exported.folder, *words)
    assert done.code == 2, done.out
    assert told in done.err


def test_a_device_that_is_not_there_costs_no_rows_of_others(exported: Bundle) -> None:
    line = ("bench", exported.folder, *QUICK, "--target", "tflite", "--precision", "int8", "--device", "host")
    board = "ssh:nobody@127.0.0.1:1"
    done = called(*line, "--device", board)
    assert done.code == 1, done.err
    measured, _, rest = done.out.partition(f"{board}: nothing ran")
    assert "host, " in measured
    assert re.search(r"tflite/int8 +litert +cpu +[\d.]+", measured)
    assert "does not answer" in rest


def test_a_wrong_address_is_refused_before_anything_is_measured(exported: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "bench.json"
    line = ("bench", exported.folder, *QUICK, "--target", "tflite", "--precision", "int8", "--json", record)
    done = called(*line, "--device", "host", "--device", "ethos-u:u99")
    assert done.code == 2, done.out
    assert "no such Ethos-U" in done.err
    assert not record.exists()


WRONG = {
    "adb": "adb:a b",
    "browser": "browser:netscape",
    "ethosu": "ethos-u:u99",
    "host": "host:1",
    "htp": "htp:v1",
    "qemu": "qemu:z80",
    "rknn": "rknn:rk1",
    "ssh": "ssh:me@",
}


@pytest.mark.parametrize("name", DEVICES.names())
def test_every_family_knows_a_wrong_address(name: str) -> None:
    with pytest.raises(BadInput):
        DEVICES.get(name).check(WRONG[name], Settings())


def test_a_unit_that_nothing_runs_on_fails_where_it_is_required(exported: Bundle) -> None:
    line = ("bench", exported.folder, *QUICK, "--target", "openvino", "--precision", "int8")
    done = called(*line, "--unit", "cpu", "--require-unit", "npu")
    assert done.code == 1
    assert "nothing ran on the npu" in done.out


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is there")
def test_a_bench_of_nothing_fails(exported: Bundle) -> None:
    done = called("bench", exported.folder, *QUICK, "--target", "coreml", "--precision", "fp32")
    assert done.code == 1
    assert "nothing ran" in done.out


def test_devices_lists_every_family_and_what_is_missing() -> None:
    shown = called("devices", "--json")
    assert shown.code == 0, shown.err
    addresses = {found["address"].partition(":")[0] for found in shown.json["devices"]}
    families = {DEVICES.get(name).name for name in DEVICES.names()}
    assert addresses == families
    assert all(found["obstacle"] or found["units"] for found in shown.json["devices"])
    assert "litert" in {runner["name"] for runner in shown.json["runners"]}
    assert called("devices").code == 0


@pytest.mark.parametrize("name", DEVICES.names())
def test_every_family_keeps_the_protocol(name: str) -> None:
    device = DEVICES.get(name)
    assert isinstance(device, Device)
    assert device.title
    for found in device.found():
        assert found.address.partition(":")[0] == device.name
        assert isinstance(found.obstacle, str | None)


def test_skipped_rows_say_why(benched: Path) -> None:
    for row in BenchRecord.load(benched).rows:
        if isinstance(row.cell, Skipped):
            assert len(row.cell.reason) > 10
