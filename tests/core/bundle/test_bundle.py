"""Bundles: writing and reading, detection of inconsistencies and damage, atomic creation."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.bundle import folder as bundle
from clearport.bundle.files import SUMS, parse_sums, render_sums
from clearport.bundle.folder import Bundle
from clearport.bundle.manifest import Manifest, to_json
from clearport.disk.files import digest
from clearport.errors import BadInput


def test_round_trip(pristine: Bundle) -> None:
    assert Manifest.model_validate_json(to_json(pristine.manifest)) == pristine.manifest
    assert (pristine.folder / "manifest.json").read_text() == to_json(pristine.manifest)
    assert pristine.passed
    assert pristine.verify_files() == []


def test_same_inputs_give_the_same_bytes(make_bundle: Any, pristine: Bundle, tmp_path: Path) -> None:
    again = make_bundle(tmp_path / "again")
    for name in ("manifest.json", SUMS):
        assert (again.folder / name).read_bytes() == (pristine.folder / name).read_bytes()


def test_sha256sum_agrees(pristine: Bundle) -> None:
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("no sha256sum on this machine")
    done = subprocess.run(
        [tool, "--check", "--strict", SUMS], cwd=pristine.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "manifest.json: OK" in done.stdout


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found_and_named(pristine: Bundle, data: st.DataObject) -> None:
    names = [*pristine.manifest.files, "manifest.json", SUMS]
    name = data.draw(st.sampled_from(names), label="file")
    path = pristine.folder / name
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1), label="byte")
    bit = data.draw(st.integers(0, 7), label="bit")
    bad = bytearray(good)
    bad[at] ^= 1 << bit
    try:
        path.write_bytes(bad)
        found = pristine.verify_files()
    finally:
        path.write_bytes(good)
    # The checksum of manifest.json stands in SHA256SUMS alone: a bit of it blames the manifest, and says so.
    named = {mismatch.path for mismatch in found}
    assert name in named or (name == SUMS and any(SUMS in str(mismatch) for mismatch in found)), found
    owners = [a.key for a in pristine.artifacts if a.holds(name)]
    for owner in owners:
        assert [m.part for m in found] == [f"artifact {owner}"]


def test_missing_added_and_linked_files_are_found(copied: Bundle) -> None:
    tflite = copied.find("tflite", "int8")
    (copied.folder / tflite.path).unlink()
    (copied.folder / "notes.txt").write_text("mine")
    (copied.folder / "link").symlink_to("/etc/hostname")
    found = {m.path: str(m) for m in copied.verify_files()}
    assert "the file is missing" in found[tflite.path]
    assert "artifact tflite/int8" in found[tflite.path]
    assert "not part of the bundle" in found["notes.txt"]
    assert "symbolic link" in found["link"]


def test_reports_are_not_covered(copied: Bundle) -> None:
    (copied.folder / "report.html").write_text("made from the rest")
    assert copied.verify_files() == []


def test_a_manifest_that_cannot_be_read_is_a_finding_beside_the_others(copied: Bundle) -> None:
    (copied.folder / "manifest.json").write_text("{")
    (copied.folder / "scales.json").write_text("changed")
    assert {m.path for m in bundle.verify_folder(copied.folder)} == {"manifest.json", "scales.json"}


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", "{", '{"schema_version": 1}', "\udcff"])
def test_an_invalid_manifest_is_bad_input(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(BadInput, match=r"manifest\.json"):
        Bundle.load(tmp_path)


def test_no_bundle_there(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BadInput, match="not a bundle"):
            Bundle.load(place)
        with pytest.raises(BadInput, match="not a bundle"):
            bundle.verify_folder(place)


@given(st.text(st.sampled_from("ab./\\:~\n"), min_size=1, max_size=9))
def test_no_path_of_a_manifest_leads_out_of_the_bundle(path: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from clearport.bundle.fields import RelativePath

    try:
        accepted = TypeAdapter(RelativePath).validate_python(path)
    except ValidationError:
        return
    inside = Path("/bundle", accepted)
    assert Path("/bundle") in inside.parents
    assert ".." not in inside.parts
    assert inside.relative_to("/bundle").as_posix() == accepted


def test_a_link_inside_a_path_is_refused(copied: Bundle, tmp_path: Path) -> None:
    moved = shutil.move(copied.folder / "tflite", tmp_path / "elsewhere")
    (copied.folder / "tflite").symlink_to(moved)
    with pytest.raises(BadInput, match="leads out of the bundle"):
        copied.path(copied.find("tflite", "int8"))


def test_find(pristine: Bundle) -> None:
    assert pristine.find("onnxruntime", "int8").variant == ""
    assert pristine.find("onnxruntime", "int8", "ort").path.endswith(".ort")
    assert pristine.find("coreml", "fp16").variant == "image"
    with pytest.raises(
        BadInput, match=r"no artifact tflite/int9; did you mean tflite/int8\?.*available:.*coreml/fp16/image"
    ):
        pristine.find("tflite", "int9")
    with pytest.raises(BadInput, match="skipped: coremltools is not installed"):
        pristine.find("coreml", "int8")


def test_a_record_becomes_an_artifact_again(pristine: Bundle) -> None:
    record = pristine.find("openvino", "int8")
    artifact = pristine.artifact(record)
    assert artifact.path.is_absolute()
    assert artifact.path.is_dir()
    assert (artifact.key, artifact.inputs, artifact.sha256) == (record.key, record.inputs, record.sha256)


def test_goldens_by_role(pristine: Bundle) -> None:
    assert pristine.path(pristine.golden("input")).name == "input.png"
    with pytest.raises(BadInput, match="no picture with role 'fp16'"):
        pristine.golden("fp16")


def test_building_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with bundle.building(tmp_path / "b") as folder:
            (folder / "half").write_text("half")
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_building_replaces_only_a_bundle_and_only_with_force(copied: Bundle, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="no bundle"), bundle.building(mine, force=True):
        pass
    with pytest.raises(BadInput, match="a file is at this path"), bundle.building(mine / "thesis.txt", force=True):
        pass
    with pytest.raises(BadInput, match="--force"), bundle.building(copied.folder):
        pass
    assert copied.verify_files() == []
    with bundle.building(copied.folder, force=True) as folder:
        (folder / "new").write_text("new")
    assert [p.name for p in copied.folder.iterdir()] == ["new"]
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_writing_a_manifest_that_does_not_fit_the_files_is_refused(copied: Bundle) -> None:
    (copied.folder / copied.find("tflite", "int8").path).write_text("other")
    with pytest.raises(BadInput, match=r"artifacts\.5\.sha256"):
        bundle.write(copied.folder, copied.manifest)


def test_failures_say_what_failed(make_bundle: Any, tmp_path: Path) -> None:
    wrong = make_bundle(tmp_path / "wrong", wrong=True)
    assert not wrong.passed
    assert wrong.manifest.failures() == [
        "tflite/int8: parity failed (ran on tflite): PSNR 31.02 dB, expected at least 48.1"
    ]


SHA = st.text(st.sampled_from("0123456789abcdef"), min_size=64, max_size=64)


@given(st.dictionaries(st.text(st.characters(categories=["L", "N"]), min_size=1), SHA))
def test_sums_round_trip(files: dict[str, str]) -> None:
    assert parse_sums(render_sums(files)) == (files, [])


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store",
        "._manifest.json",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/._manifest.json",
        ".ipynb_checkpoints/report-checkpoint.md",
        "tflite/@eaDir/a",
        ".git/config",
        "goldens/.nfs0001",
    ],
)
def test_litter_is_no_part_of_a_bundle(copied: Bundle, name: str) -> None:
    (copied.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (copied.folder / name).write_bytes(b"litter")
    assert copied.verify_files() == []
    assert bundle.verify_folder(copied.folder) == []
    (copied.folder / "tflite" / "model.bak").write_bytes(b"somebody's own")
    assert ["not part of the bundle" in str(m) for m in copied.verify_files()] == [True]


def test_litter_changes_no_digest_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights.bin").write_bytes(b"1")
    before = digest(tmp_path / "a")
    (tmp_path / "a" / ".DS_Store").write_bytes(b"litter")
    assert digest(tmp_path / "a") == before
    (tmp_path / "a" / "more.bin").write_bytes(b"2")
    assert digest(tmp_path / "a") != before
