"""Systems: writing and reading, refusal if inconsistent or changed, and replacement of unchanged ones only."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from clearport.bundle import folder as bundle
from clearport.bundle import system as systems
from clearport.bundle.folder import Bundle
from clearport.bundle.system import PartRecord, RowRecord, System, SystemRecord
from clearport.cli.app import app
from clearport.disk import ours
from clearport.errors import BadInput
from clearport.pipeline.systems.verify import goldens
from clearport.programs.program import Input, Output, Program, Run
from clearport.reports.systems.report import write_reports
from clearport.runtime.parity import ParityReport, Tolerance

RUN = Run(part="enlarge", inputs={"image": "picture"}, outputs={"restored": "large"})
PROGRAM = Program(
    inputs=(Input(name="picture", kind="picture", shape=(1, 3, 48, 64), high=255.0),),
    outputs=(Output(name="large", kind="picture", high=255.0),),
    steps=(RUN,),
)
REPORT = ParityReport(
    True, 60.0, 1.0, 0.1, 0.99, "ran on LiteRT", "PyTorch fp32", "8-bit pictures", Tolerance("a test", min_psnr_db=50.0)
)
RECORD = SystemRecord(
    name="enlarger",
    task="super-resolution",
    about="One network as a whole | <b>",
    size="48x64",
    parts={"enlarge": PartRecord(folder="parts/enlarge", network="ncnet")},
    program=PROGRAM,
    rows=(
        RowRecord(target="tflite", precision="int8", method="ran on LiteRT", parity=(replace(REPORT, output="large"),)),
    ),
    tool_versions={},
)


@pytest.fixture
def mine(pristine: Bundle, tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    shutil.copytree(pristine.folder, folder / "parts" / "enlarge")
    save_file({"input.picture": np.zeros((1, 3, 48, 64), np.float32)}, folder / "golden.safetensors")
    write_reports(systems.write(folder, RECORD))
    return folder


def test_it_is_read_as_it_was_written(mine: Path) -> None:
    system = System.load(mine)
    assert system.record.program == PROGRAM
    assert system.verify_files() == []
    assert system.row("tflite", "").key == "tflite/int8"
    assert (
        "One network as a whole &#124;" in (mine / "report.md").read_text() or "\\|" in (mine / "report.md").read_text()
    )
    assert "whole | &lt;b&gt;" in (mine / "report.html").read_text()


def test_a_row_that_was_refused_says_why(mine: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot be run as tflite/fp32 .available: tflite/int8"):
        System.load(mine).row("tflite", "fp32")


@pytest.mark.parametrize("name", ["golden.safetensors", "parts/enlarge/manifest.json", "system.json"])
def test_a_changed_file_is_named(mine: Path, name: str) -> None:
    path = mine / name
    path.write_bytes(path.read_bytes().replace(b"48", b"49", 1) if name == "system.json" else path.read_bytes() + b"\n")
    assert name in "".join(map(str, System.load(mine).verify_files()))


@pytest.mark.parametrize("name", ["golden.safetensors", "SHA256SUMS"])
def test_a_missing_file_is_named(mine: Path, name: str) -> None:
    (mine / name).unlink()
    assert f"{name} (the system): the file is missing" in "".join(map(str, System.load(mine).verify_files()))


@pytest.mark.parametrize("name", ["more.txt", "parts/more.txt", "parts/second/manifest.json", "below/deep/more"])
def test_a_file_too_many_is_named(mine: Path, name: str) -> None:
    (mine / name).parent.mkdir(parents=True, exist_ok=True)
    (mine / name).write_text("more")
    assert f"{name} (the system): the file is not part of the system" in "".join(
        map(str, System.load(mine).verify_files())
    )


def test_a_link_too_many_and_a_golden_file_elsewhere_are_named(mine: Path, tmp_path: Path) -> None:
    (mine / "more").symlink_to(tmp_path)
    assert "more (the system): the file is not part of the system" in "".join(
        map(str, System.load(mine).verify_files())
    )
    shutil.copy(mine / "golden.safetensors", tmp_path / "golden.safetensors")
    plain = json.loads((mine / "system.json").read_text())
    plain["files"]["more/golden.safetensors"] = plain["files"][plain["golden"]]
    (mine / "system.json").write_text(json.dumps(plain | {"golden": "more/golden.safetensors"}))
    with pytest.raises(BadInput, match=r"more/golden\.safetensors: it leads out of the system"):
        System.load(mine)


def test_parts_that_lead_back_to_the_system_end(mine: Path) -> None:
    (mine / "manifest.json").write_text("{}")
    for name in ("a", "b"):
        (mine / "parts" / name).symlink_to(mine)
    assert ours.system_parts(mine) == ["parts/enlarge"]
    assert ours.is_bundle(mine)


def test_the_report_of_a_foreign_system_is_small_and_states_what_was_not_proven(mine: Path) -> None:
    broken = "picture\n```\n<img src=x>"
    ends = RUN.model_copy(update={"inputs": {broken: "picture"}})
    system = System.load(mine)
    record = system.record.model_copy(update={"rows": (), "program": PROGRAM.model_copy(update={"steps": (ends,)})})
    save_file({"input.picture": np.zeros((1, 3, 2049, 2048), np.float32)}, mine / "golden.safetensors")
    write_reports(replace(system, record=record))
    assert "not proven for any target" in (mine / "report.md").read_text()
    assert (mine / "report.md").read_text().count("\n```") == 2
    assert (mine / "report.html").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (("program", "steps", 0, "part"), "third", "no part 'third'"),
        (("program", "steps", 0, "inputs"), {"picture": "picture"}, "enlarge takes image; given: picture"),
        (("program", "steps", 0, "do"), "shell", "steps.0"),
        (("parts", "enlarge", "folder"), "../elsewhere", "stay inside"),
        (("parts", "enlarge", "folder"), "nowhere", "not a bundle"),
        (("golden",), "/etc/passwd", "relative"),
        (("rows", 0, "precision"), "int4", "precision"),
        (("surprise",), 1, "Extra inputs"),
        (("rows", 0, "target"), "tflight", "part enlarge has no file tflight/int8"),
        (("rows", 0, "parity", 0, "output"), "small", "needs exactly one report per output of the program .large"),
        (("rows", 0, "parity", 0, "passed"), False, "large: whether it passed contradicts its failures"),
        (("rows", 0, "parity", 0, "failures"), ["30 dB"], "large: whether it passed contradicts its failures"),
    ],
)
def test_an_inconsistent_system_is_refused_before_anything_runs(
    mine: Path, at: tuple[Any, ...], value: Any, why: str
) -> None:
    plain = json.loads((mine / "system.json").read_text())
    inner = plain
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    (mine / "system.json").write_text(json.dumps(plain))
    with pytest.raises(BadInput, match=why):
        System.load(mine)


def test_a_link_as_a_part_is_refused(mine: Path, pristine: Bundle) -> None:
    shutil.rmtree(mine / "parts" / "enlarge")
    (mine / "parts" / "enlarge").symlink_to(pristine.folder)
    with pytest.raises(BadInput, match="symbolic links are not allowed"):
        System.load(mine)


def test_a_golden_file_of_numbers_that_numpy_lacks_is_bad_input(mine: Path) -> None:
    about = {"input.picture": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}
    header = json.dumps(about).encode()
    (mine / "golden.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(BadInput, match="not a readable safetensors file"):
        goldens(System.load(mine))
    write_reports(System.load(mine))


def test_a_command_for_bundles_names_the_parts(mine: Path) -> None:
    with pytest.raises(BadInput, match=r"a system of several parts; .*parts/enlarge"):
        Bundle.load(mine)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["eval", "{}", "--data", ".", "--max-drop", "0.1"], "--max-drop"),
        (["eval", "{}", "--data", ".", "--junit", "eval.xml"], "--junit"),
        (["bench", "{}", "--require-unit", "npu"], "--require-unit"),
        (["bench", "{}", "--max-slowdown", "1.1"], "--max-slowdown"),
        (["bench", "{}", "--device", "adb:1"], "--device"),
    ],
)
def test_gates_that_a_system_does_not_have_are_refused_not_passed_over(
    mine: Path, words: list[str], option: str
) -> None:
    done = CliRunner().invoke(app, [word.format(mine) for word in words])
    assert isinstance(done.exception, BadInput)
    assert f"{mine}: {option}: not for a system of several parts" in str(done.exception)


def test_force_replaces_a_system_and_nothing_else(mine: Path) -> None:
    with pytest.raises(BadInput, match="already there"), bundle.building(mine):
        pass
    (mine / "parts" / "enlarge" / "notes.txt").write_text("the user's")
    with pytest.raises(BadInput, match=r"notes\.txt"), bundle.building(mine, force=True):
        pass
    (mine / "parts" / "enlarge" / "notes.txt").rename(mine / "manifest.json")
    with pytest.raises(BadInput, match=r"manifest\.json"), bundle.building(mine, force=True):
        pass
    (mine / "manifest.json").unlink()
    with bundle.building(mine, force=True) as fresh:
        (fresh / "new").write_text("new")
    assert [path.name for path in mine.iterdir()] == ["new"]
