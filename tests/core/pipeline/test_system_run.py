"""Running a system: inputs and outputs are checked before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.numpy import save_file

from clearport.bundle import system as systems
from clearport.bundle.folder import Bundle
from clearport.bundle.system import PartRecord, RowRecord, SystemRecord
from clearport.errors import BadInput
from clearport.pipeline.systems import bench
from clearport.pipeline.systems import run as system_run
from clearport.pipeline.systems.evaluate import evaluate_system
from clearport.pipeline.systems.run import SystemRequest, run_system
from clearport.programs.program import Input, Output, Program, Run
from clearport.runtime.parity import ParityReport
from clearport.runtime.tolerance import Tolerance

STEP = Run(part="enlarge", inputs={"image": "values"}, outputs={"restored": "more"})
PROGRAM = Program(
    inputs=(Input(name="values", kind="values", shape=("n", 3, "h", "w")),),
    outputs=(Output(name="values", kind="values"), Output(name="more", kind="picture")),
    steps=(STEP,),
)


def proven(output: str) -> ParityReport:
    return ParityReport(True, 60.0, 1.0, 0.1, 0.99, "ran", "PyTorch fp32", "values", Tolerance("a test"), output=output)


class Same:
    """A part that returns its input, and infinity for dark inputs."""

    method = "ran on LiteRT"
    seconds: ClassVar[dict[str, list[float]]] = {}

    def __call__(self, part: str, inputs: dict[str, Any]) -> dict[str, Any]:
        assert part == "enlarge"
        return {"restored": np.where(inputs["image"] < -2.0, np.inf, inputs["image"])}


@contextmanager
def same(*_: object) -> Iterator[Same]:
    yield Same()


@pytest.fixture
def mine(pristine: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mine"
    shutil.copytree(pristine.folder, folder / "parts" / "enlarge")
    save_file({"input.values": np.zeros((1, 3, 4, 4), np.float32)}, folder / "golden.safetensors")
    row = RowRecord(target="tflite", precision="int8", method="ran", parity=(proven("values"), proven("more")))
    record = SystemRecord(
        name="same",
        task="matting",
        about="What it was given.",
        size="4x4",
        parts={"enlarge": PartRecord(folder="parts/enlarge", network="ncnet")},
        program=PROGRAM,
        rows=(row,),
        tool_versions={},
    )
    systems.write(folder, record)
    monkeypatch.setattr(system_run, "opened", same)
    monkeypatch.setattr(bench, "opened", same)
    return folder


@pytest.mark.parametrize(
    ("shape", "level", "why"),
    [
        ((1, 3, 4, 4), -3.0, r"'more' .1x3x4x4. holds values that are not finite"),
        ((2, 3, 4, 4), 0.5, "'more' is declared as a picture .*, but is 2x3x4x4"),
        ((0, 3, 4, 4), 0.5, "holds no numbers"),
    ],
)
def test_an_output_that_is_none_leaves_no_file(
    mine: Path, tmp_path: Path, shape: tuple[int, ...], level: float, why: str
) -> None:
    np.save(tmp_path / "values.npy", np.full(shape, level, np.float32))
    with pytest.raises(BadInput, match=why):
        run_system(SystemRequest(mine, (str(tmp_path / "values.npy"),), tmp_path / "out.npy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "values.npy"]


def test_archives_pictures_and_a_second_file_are_no_values(mine: Path, tmp_path: Path) -> None:
    array = np.zeros((1, 3, 4, 4), np.float32)
    np.savez(tmp_path / "values.npz", array)
    shutil.copy(tmp_path / "values.npz", tmp_path / "archive.npy")
    for given, why in (
        (("values.npz",), "give an array as .npy"),
        (("archive.npy",), r"archive.npy: .*got an archive"),
        (("values=a.npy", "values=b.npy"), "'values' is given twice: .*a.npy and .*b.npy"),
    ):
        words = tuple(each.replace("=", f"={tmp_path}/") if "=" in each else str(tmp_path / each) for each in given)
        with pytest.raises(BadInput, match=why):
            run_system(SystemRequest(mine, words, tmp_path / "out.npy"))


def test_a_system_with_other_ends_is_not_judged(mine: Path) -> None:
    with pytest.raises(BadInput, match="have the setting squares; this one takes values and gives more, values"):
        evaluate_system(mine, mine)


def test_a_changed_system_is_not_timed(mine: Path) -> None:
    golden = mine / "golden.safetensors"
    golden.write_bytes(golden.read_bytes()[:-1] + b"\1")
    with pytest.raises(BadInput, match=r"golden.safetensors .*differs from its checksum"):
        bench.bench_system(mine, runs=1)
