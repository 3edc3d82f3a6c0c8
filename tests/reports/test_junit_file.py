"""Reports for CI: whatever ends a run, the file says so, and an earlier run's outcome never passes for this one's."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from clearport.bundle.bench_file import BenchFile, wanted
from clearport.bundle.bench_record import BenchedModel, BenchPlan, BenchRecord
from clearport.disk.outputs import claimed
from clearport.errors import BadInput
from clearport.reports.junit import Check, JunitFile, write_junit
from tests.called import called
from tests.core.places import SmallDisk

PASSED = Check("max-drop", True, "fine", group="tflite/int8")
MINE = "years of work"


def outcome(path: Path) -> tuple[int, int, int]:
    """Tests, failures and errors, as CI counts them."""
    root = ET.parse(path).getroot()
    counts = tuple(int(root.get(name, "")) for name in ("tests", "failures", "errors"))
    cases = list(root.iter("testcase"))
    found = (
        len(cases),
        sum(c.find("failure") is not None for c in cases),
        sum(c.find("error") is not None for c in cases),
    )
    assert counts == found
    return found


def test_a_junit_file_tells_of_every_end(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, "earlier", [PASSED])
    with JunitFile(path, "now") as file:
        assert outcome(path) == (1, 0, 1)
        file.checks = (PASSED,)
    assert outcome(path) == (1, 0, 0)
    for error in (BadInput("no pairs"), KeyboardInterrupt(), RuntimeError("a defect")):
        with pytest.raises(type(error)), JunitFile(path, "now"):
            raise error
        assert outcome(path) == (1, 0, 1)
    with pytest.raises(BadInput), JunitFile(path, "now") as file:
        file.checks = (PASSED, Check("min-psnr", False, "low"))
        raise BadInput("the bundle cannot be written")
    assert outcome(path) == (3, 1, 1)
    assert "the bundle cannot be written" in path.read_text()


REFUSED: dict[str, tuple[str, ...]] = {
    "no bundle": ("eval", "nothing", "--data", "nothing"),
    "no such option": ("eval", "nothing", "--data", "nothing", "--max-dorp", "1"),
    "no number": ("eval", "nothing", "--data", "nothing", "--max-drop", "much"),
    "no data": ("eval", "nothing"),
    "bench without a bundle": ("bench", "nothing"),
    "bench with an unknown device": ("bench", "nothing", "--device", "toaster:1"),
    "bench without a record to compare with": ("bench", "nothing", "--compare", "nothing.json"),
}


@pytest.mark.parametrize("words", REFUSED.values(), ids=REFUSED)
def test_the_report_of_an_earlier_run_does_not_survive_a_refusal(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = tmp_path / "report"
    if words[0] == "eval":
        write_junit(path, "earlier", [PASSED])
        done = called(*words, "--junit", path)
        assert outcome(path) == (1, 0, 1)
    else:
        path.write_text('{"clearport": "0.1.0", "plan": {}, "rows": ["hours"]}')
        os.utime(path, (1, 1))
        done = called(*words, "--json", path)
        found = json.loads(path.read_text())
        assert "rows" not in found
        assert found["error"]
        assert found["earlier"]["rows"] == ["hours"]
    assert done.code == 2
    assert "Traceback" not in done.err


PYTEST = '<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest"/></testsuites>'


@pytest.mark.parametrize("content", [MINE, "<html/>", '{"rows": 1}', "\0", "<?xml version='1.0'?><project/>", PYTEST])
@pytest.mark.parametrize(("command", "option"), [("eval", "--junit"), ("bench", "--json")])
def test_somebody_elses_file_is_refused(
    tmp_path: Path, content: str, command: str, option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from clearport.cli import app as cli

    path = tmp_path / "theirs"
    path.write_text(content)
    words = [
        "clearport",
        command,
        str(tmp_path / "nothing"),
        option,
        str(path),
        *(["--data", "x"] if command == "eval" else []),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 2
    assert "a file is there that is not" in capfd.readouterr().err
    assert path.read_text() == content


def test_the_note_of_a_bench_keeps_the_rows_of_the_run_before(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"clearport": "0.1.0", "plan": {}, "rows": ["hours"]}')
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), BenchFile(path):
            raise KeyboardInterrupt
        assert json.loads(path.read_text())["earlier"]["rows"] == ["hours"]
    with pytest.raises(BadInput, match="has no rows: interrupted"):
        BenchRecord.load(path)
    with pytest.raises(BadInput, match="leave out --resume"):
        BenchFile(path, resume=True)


def test_rows_that_a_full_disk_does_not_take_are_written_when_there_is_room(tmp_path: Path) -> None:
    model = BenchedModel(name="ncnet", scale=3, size="8x8", input_size="8x8", macs=1, weights_sha256="0" * 64)
    record = BenchRecord(
        clearport="0.1.0",
        created="now",
        model=model,
        plan=BenchPlan(threads=1, runs=1, seconds=0.0),
        devices=(),
        rows=(),
    )
    with SmallDisk(tmp_path / "disk", "128k") as disk, claimed(wanted(disk / "bench.json")):
        with BenchFile(disk / "bench.json") as file:
            (disk / "filler").write_bytes(bytes(128 << 10)[: shutil.disk_usage(disk).free])
            file.save(record)
            assert "disk is full" in str(file.problem)
            assert [p.name for p in disk.iterdir() if p.name.endswith(".partial")] == []
            (disk / "filler").unlink()
            file.save(record)
            assert not (disk / "bench.json").exists()  # once is enough: each row would wait for the disk
            file.save(record, last=True)
            assert file.problem is None
        assert BenchRecord.load(disk / "bench.json") == record
