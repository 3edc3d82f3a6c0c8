"""Files by the runtimes that users still have, where their environments are set up (make runtimes)."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clearport.bundle.folder import Bundle
from clearport.disk import leftovers
from clearport.pipeline.verify import check_elsewhere
from clearport.runtime.older import setup
from clearport.runtime.older.table import READY, RUNTIMES, VARIABLE, OtherRuntime, home
from device_tests.conftest import called


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_an_older_runtime_proves_the_files(request: pytest.FixtureRequest, runtime: OtherRuntime) -> None:
    if not runtime.ready:
        pytest.skip(f"{runtime.title} is not set up in {home()}: make runtimes")
    bundle: Bundle = request.getfixturevalue("exported" if runtime.target == "openvino" else "two_targets")
    records = [record for record in bundle.artifacts if record.target == runtime.target]
    assert {record.precision for record in records} >= {"fp32", "int8"}
    for record in records:
        checks = check_elsewhere(bundle, record, runtime, threads=1)
        if runtime.reason_against(record.path) is not None:
            assert [check.passed for check in checks] == [None]
            continue
        assert [check.name for check in checks] == [f"golden by {runtime.name}", f"golden probe by {runtime.name}"]
        assert all(check.passed for check in checks), [check.message for check in checks]
        assert runtime.title in checks[0].message


def test_a_runtime_that_is_not_there_is_named_with_its_remedy(
    two_targets: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    unknown = called("verify", two_targets.folder, "--runtime", "onnxruntime-1.1")
    assert unknown.code == 2
    assert (
        "expected one of tflite-runtime-2.14, tensorflow-2.21, onnxruntime-1.17, openvino-2024, or all" in unknown.err
    )
    absent = called("verify", two_targets.folder, "--runtime", "onnxruntime-1.17")
    assert absent.code == 2
    assert f"not set up in {tmp_path}" in absent.err
    assert "python -m clearport.runtime.older.setup onnxruntime-1.17" in absent.err


def test_an_environment_that_is_not_ours_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    mine = tmp_path / "onnxruntime-1.17" / "pyvenv.cfg"  # an environment of the user's own
    mine.parent.mkdir()
    mine.write_text("mine")
    assert setup.main(["onnxruntime-1.17"]) == 2
    assert "exists and was not created by clearport" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    assert setup.main(["--python", str(tmp_path / "python9"), "openvino-2024"]) == 2
    assert "cannot be started" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [mine.parent]


def test_what_a_killed_run_left_is_made_anew_and_links_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    runtime, elsewhere = replace(RUNTIMES[0], packages=()), tmp_path / "elsewhere"
    place = tmp_path / "home" / runtime.name
    place.mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    (place / READY).write_text("an earlier version's packages")
    (place / "linked").symlink_to(elsewhere, target_is_directory=True)
    made: list[list[str]] = []
    monkeypatch.setattr(setup, "_run", lambda line, *_: made.append(line))
    setup.set_up(runtime, sys.executable)
    assert (runtime.ready, [line[2] for line in made]) == (True, ["venv", "pip"])
    assert (elsewhere / "mine.txt").read_text() == "mine"
    assert not (place / "linked").exists()
    assert [path.name for path in place.parent.iterdir()] == [runtime.name]


def test_two_setups_do_not_write_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with leftovers.lock_for(tmp_path / "openvino-2024"):
        assert setup.main(["openvino-2024"]) == 2
    assert "another clearport process is writing there" in capsys.readouterr().err


def test_what_is_complete_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    runtime = RUNTIMES[0]
    mark = tmp_path / runtime.name / READY
    mark.parent.mkdir()
    mark.write_text("\n".join(runtime.packages))
    assert runtime.ready
    setup.set_up(runtime, sys.executable)
    assert list(mark.parent.iterdir()) == [mark]
    mark.write_text("numpy==1.0")
    assert not runtime.ready
