"""Systems from Python, on real files: a system of one part, NCNet, gives what its part gives."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import clearport
from clearport.base import TensorSpec
from clearport.bundle import system as systems
from clearport.bundle.folder import Bundle
from clearport.bundle.system import PartRecord, RowRecord, System, SystemRecord
from clearport.errors import BadInput
from clearport.models import samples
from clearport.pictures.images import load_rgb, save_png
from clearport.pipeline.systems import proof
from clearport.pipeline.systems.parts import opened
from clearport.programs.interpreter import execute
from clearport.programs.program import Channels, Input, Output, Program, Run
from clearport.reports.systems.report import write_reports
from clearport.runtime import pixels
from device_tests.files.test_kits import MODULES, needs_node, run

TARGETS = ("tflite", "onnxruntime")
RANGE = {"low": 0.0, "high": 255.0}


@pytest.fixture(scope="module")
def enlarging(int8_pair: Bundle, tmp_path_factory: pytest.TempPathFactory) -> System:
    folder = tmp_path_factory.mktemp("systems") / "enlarging"
    shutil.copytree(int8_pair.folder, folder / "parts" / "enlarge")
    part = int8_pair.manifest.pixel_contract
    (source,), (result,) = part.inputs, part.outputs
    program = Program(
        inputs=(Input(name="picture", kind="picture", shape=(1, 3, *size_of(int8_pair)), **RANGE),),
        outputs=(Output(name="larger", kind="picture", **RANGE), Output(name="red", kind="values")),
        steps=(
            Run(part="enlarge", inputs={source.name: "picture"}, outputs={result.name: "larger"}),
            Channels(out="red", value="larger", first=0, count=1),
        ),
    )
    record = SystemRecord(
        name="enlarging",
        task="super-resolution",
        about="Enlarges.",
        size="x".join(map(str, size_of(int8_pair))),
        parts={"enlarge": PartRecord(folder="parts/enlarge", network="ncnet")},
        program=program,
        rows=(),
        tool_versions={},
    )
    given = {"picture": tensor_of(load_rgb(samples.golden())[: size_of(int8_pair)[0], : size_of(int8_pair)[1]])}
    save_file({"input.picture": given["picture"]}, folder / "golden.safetensors")
    draft = systems.write(folder, record)
    rows, wanted = [], None
    for target in TARGETS:
        with opened(draft, target, "int8", "", 1) as parts:
            found = execute(program, parts, given)
            wanted = wanted or found
            reports = proof.judged(program, found, wanted, "int8", parts.method)
        rows.append(RowRecord(target=target, precision="int8", method=reports[0].method, parity=reports))
    assert wanted is not None
    golden = {"input.picture": given["picture"], **{f"output.{name}": value for name, value in wanted.items()}}
    save_file({name: np.ascontiguousarray(value) for name, value in golden.items()}, folder / "golden.safetensors")
    return systems.write(folder, record.model_copy(update={"rows": tuple(rows)}))


def size_of(bundle: Bundle) -> tuple[int, int]:
    height, width = pixels.image_size(bundle.find("tflite", "int8").inputs[0])
    return int(height), int(width)


def tensor_of(picture: np.ndarray) -> np.ndarray:
    return pixels.to_tensor(np.ascontiguousarray(picture), TensorSpec("p", (1, 3, "H", "W")))


def test_a_system_is_run_on_arrays_and_on_files(enlarging: System, tmp_path: Path) -> None:
    height, width = size_of(enlarging.parts["enlarge"])
    picture = np.ascontiguousarray(load_rgb(samples.golden())[:height, :width])
    save_png(tmp_path / "photo.png", picture)
    ran = clearport.run_system(enlarging.folder, tmp_path / "whole.png", tmp_path / "photo.png")
    clearport.restore(enlarging.folder / "parts" / "enlarge", tmp_path / "photo.png", tmp_path / "part.png")
    wanted = load_rgb(tmp_path / "part.png")
    assert (ran.artifact, ran.calls["enlarge"][0]) == ("tflite/int8", 1)
    np.testing.assert_array_equal(load_rgb(tmp_path / "whole.png"), wanted)
    with clearport.open_system(enlarging.folder) as system:
        assert system.method.startswith("ran on")
        found = system({"picture": tensor_of(picture)})["larger"]
        with pytest.raises(BadInput, match="no setting 'rounds'"):
            system({"picture": tensor_of(picture)}, {"rounds": 3})
    np.testing.assert_array_equal(pixels.to_image(found, TensorSpec("p", found.shape)), wanted)
    with pytest.raises(BadInput, match="takes no clicks"):
        clearport.run_system(enlarging.folder, tmp_path / "x.png", tmp_path / "photo.png", clicks=[(3, 4, False)])


def test_the_code_in_the_report_runs(enlarging: System) -> None:
    report, page = (path.read_text() for path in write_reports(enlarging))
    code = report.partition("```python\n")[2].partition("```")[0]
    assert "clearport.open_system" in page
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=enlarging.folder, capture_output=True, text=True, check=False, timeout=120
    )
    height, width = (3 * side for side in size_of(enlarging.parts["enlarge"]))
    told = [f"larger (1, 3, {height}, {width})", f"red (1, 1, {height}, {width})"]
    assert (done.returncode, done.stdout.splitlines()) == (0, told), done.stderr


def test_a_system_is_loaded_checked_and_timed(enlarging: System, tmp_path: Path) -> None:
    assert clearport.load_system(enlarging.folder).passed
    times = clearport.bench_system(enlarging.folder, runs=1)
    assert [row.artifact for row in times.rows] == ["tflite/int8", "onnxruntime/int8"]
    assert 0.0 < times.rows[0].parts["enlarge"].median_ms <= times.rows[0].median_ms
    with pytest.raises(BadInput, match="supports matting systems"):
        clearport.evaluate_system(enlarging.folder, tmp_path)
    with pytest.raises(BadInput, match="in Python export_system"):
        clearport.export("matting", tmp_path / "out")
    with pytest.raises(BadInput, match=r"expected \(x, y\) in pixels"):
        clearport.run_system(enlarging.folder, tmp_path / "x.png", clicks=[(-3, 4)])
    with pytest.raises(BadInput, match="expected HEIGHTxWIDTH"):
        clearport.export_system("sindiffusion", tmp_path / "out", size="nine")


@needs_node
def test_the_kit_of_a_system_gives_the_goldens(enlarging: System, tmp_path: Path) -> None:
    made = clearport.kit(enlarging.folder, tmp_path / "kit", "typescript")
    assert made.artifact == "onnxruntime/int8"
    (made.folder / "node_modules").symlink_to(MODULES)
    types = ["--ignoreConfig", "--noEmit", "--strict", "--noUncheckedIndexedAccess", "--skipLibCheck"]
    modules = ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    sources = [name for name in made.files if name.endswith(".ts") and name != "selftest.ts"]
    run(["node", MODULES / "typescript" / "bin" / "tsc", *types, *modules, *sources], made.folder)
    bundled = ["--bundle", "--platform=node", "--format=esm", "--packages=external", "--outfile=build/selftest.mjs"]
    run(["node", MODULES / "esbuild" / "bin" / "esbuild", "selftest.ts", *bundled], made.folder)
    done = subprocess.run(
        ["node", "build/selftest.mjs"], cwd=made.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    larger, red = done.stdout.splitlines()
    assert re.fullmatch(r"larger: passed, largest difference [012] levels, .*", larger)
    assert re.fullmatch(r"red: passed, (equal|SQNR [0-9.]+ dB)", red)


def test_languages_without_a_kit_of_systems_name_the_parts(enlarging: System, tmp_path: Path) -> None:
    for asked, why in (({"language": "cpp"}, "--language cpp"), ({"target": "tflite"}, "--target tflite")):
        with pytest.raises(BadInput, match=rf"{why}: .* is a system, whose kits are in typescript .*parts/enlarge"):
            clearport.kit(enlarging.folder, tmp_path / "kit", **{"language": "typescript", **asked})
    assert not (tmp_path / "kit").exists()
