"""Outputs: checked before work starts, locked while it runs, checked again at the swap; nobody's files are lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport.bundle import folder as bundle
from clearport.disk import leftovers, ours
from clearport.disk.files import atomic_path, write_text
from clearport.disk.outputs import OutBundle, OutFile, OutFolder, claimed
from clearport.errors import BadInput
from tests.core.places import MINE, SmallDisk, out_file, tree


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with one of each kind of file that may be at an output path."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine.txt").write_text(MINE)
    (tmp_path / "file.txt").write_text(MINE)
    (tmp_path / "other.json").write_text('{"rows": 3}')
    (tmp_path / "record.json").write_text('{"clearport": "0.1.0", "error": "before"}')
    (tmp_path / "empty.json").touch()
    (tmp_path / "to_folder").symlink_to("folder")
    (tmp_path / "to_file").symlink_to("file.txt")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "twin.json").hardlink_to(tmp_path / "file.txt")
    return tmp_path


REFUSED_FILES = {
    "folder": "it is a folder",
    "new/": "it is a folder",
    "to_folder": "it is a folder",
    ".": "it is a folder",
    "file.txt": "not a record",
    "to_file": "not a record",
    "other.json": "not a record",
    "file.txt/below": "a file, not a folder",
    "to_file/below/more": "a file, not a folder",
    "circle": "circle",
    "circle/below": "circle",
    "n" * 300: "too long",
}


@pytest.mark.parametrize("name", REFUSED_FILES, ids=lambda name: name[:20])
def test_a_place_that_is_no_place_for_a_file_is_refused_before_work(place: Path, name: str) -> None:
    before = tree(place)
    path = Path(f"{place}/{name}") if name != "new/" else Path(place, "new")
    output = out_file(path)
    if name == "new/":
        object.__setattr__(output, "path", f"{place}/new/")  # Path itself drops the slash; API users pass text
    with pytest.raises(BadInput, match=REFUSED_FILES[name]), claimed(output):
        pytest.fail("work began")
    assert tree(place) == before


@pytest.mark.parametrize("name", ["new.json", "deep/er/new.json", "empty.json", "record.json", "n" * 240, "ü\n.json"])
def test_a_place_that_is_free_or_ours_is_written(place: Path, name: str, any_swap: None) -> None:
    others = {key: value for key, value in tree(place).items() if key != name}
    with claimed(out_file(place / name)):
        write_text(place / name, "1")
        write_text(place / name, "2")
    assert {key: value for key, value in tree(place).items() if key in others} == others
    assert (place / name).read_text() == "2"
    assert not list(place.rglob(".*"))


def test_folders_on_the_way_go_again_where_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), claimed(out_file(tmp_path / "a/b/c.json"), OutFolder(tmp_path / "d/e", "--keep")):
        assert (tmp_path / "d/e").is_dir()
        raise RuntimeError
    assert tree(tmp_path) == {}


def test_inputs_are_never_outputs(place: Path) -> None:
    (place / "link.json").symlink_to("file.txt")
    reads = (place / "file.txt", place / "folder")
    for name in ("file.txt", "to_file", "twin.json", "link.json", "folder", "to_folder"):
        with (
            pytest.raises(BadInput, match="would overwrite the input"),
            claimed(out_file(place / name), reads=reads),
        ):
            pytest.fail(name)
    for name in ("folder/new.json", "folder/deep/new.json", "to_folder/new.json", "folder/../folder/new.json"):
        with pytest.raises(BadInput, match="inside the input folder"), claimed(out_file(place / name), reads=reads):
            pytest.fail(name)
    twice = (out_file(place / "a.json"), OutFile(place / "./a.json", "--junit", "a report", ours.is_junit))
    with pytest.raises(BadInput, match="name the same path"), claimed(*twice):
        pytest.fail("one place for two outputs")


def test_streams_are_written_into_and_special_files_are_not(tmp_path: Path) -> None:
    before = Path("/dev/null").stat().st_mode
    with claimed(out_file(Path("/dev/null"))):
        write_text(Path("/dev/null"), "gone")
    assert Path("/dev/null").stat().st_mode == before
    os.mkfifo(tmp_path / "pipe")
    with claimed(out_file(tmp_path / "pipe")):
        pass
    short = Path(tempfile.mkdtemp(dir="/tmp"), "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(short))
        with pytest.raises(BadInput, match="neither a file nor a folder"), claimed(out_file(short)):
            pytest.fail("a socket")
    shutil.rmtree(short.parent)


def test_who_only_looks_for_leftovers_keeps_no_writer_out(tmp_path: Path) -> None:
    """A sweep beside an output holds its lock for a moment."""
    lock = leftovers.lock_for(tmp_path / "bundle")
    lock.acquire(timeout=0)
    ended = threading.Timer(0.2, leftovers.release, [lock])
    ended.start()
    with claimed(OutBundle(tmp_path / "bundle")):
        pass
    ended.join()


@pytest.mark.parametrize("make", [out_file, lambda p: OutBundle(p, force=True)], ids=["file", "bundle"])
def test_of_two_writers_the_second_is_refused(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    busy = "another clearport process is writing there"
    with claimed(make(tmp_path / "out")), pytest.raises(BadInput, match=busy), claimed(make(tmp_path / "out")):
        pytest.fail("both write")
    with claimed(make(tmp_path / "out")):
        pass
    assert tree(tmp_path) == {}


def user_file(place: Path) -> None:
    place.write_text(MINE)


def user_folder(place: Path) -> None:
    place.mkdir()
    (place / "mine.txt").write_text(MINE)


@pytest.mark.parametrize("comes", [user_file, user_folder])
@pytest.mark.parametrize("work", ["file", "folder"])
def test_files_that_appear_at_the_output_during_the_work_are_kept(
    tmp_path: Path, comes: Callable[[Path], None], work: str, any_swap: None
) -> None:
    place = tmp_path / "out.json"
    wanted = out_file(place) if work == "file" else OutBundle(place)
    with pytest.raises(BadInput) as refused, claimed(wanted), atomic_path(place) as temporary:
        if work == "file":
            temporary.write_text("done")
        else:
            temporary.mkdir()
            (temporary / "done").write_text("done")
        comes(place)
    kept = Path(str(refused.value).rpartition(" is in ")[2]) if "is in" in str(refused.value) else None
    found = tree(tmp_path)
    assert found.get("out.json") == MINE or found.get("out.json/mine.txt") == MINE
    if kept is not None:
        assert kept.read_text() == "done" if work == "file" else (kept / "done").read_text() == "done"
    else:
        assert "not a f" in str(refused.value)


def test_a_report_that_the_user_changed_meanwhile_stays(tmp_path: Path, any_swap: None) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"clearport": "0.1.0", "error": ""}')
    with claimed(out_file(path)):
        write_text(path, "first row")
        path.write_text(MINE)
        for rows in ("two rows", "three rows"):
            with pytest.raises(BadInput, match=r"bench\.kept-......\.json"):
                write_text(path, rows)
    assert sorted(tree(tmp_path).values()) == sorted(["three rows", MINE])


def test_a_full_or_read_only_disk_is_reported_before_work(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", "16k") as disk:
        for output in (out_file(disk / "a.json"), OutBundle(disk / "b"), OutFolder(disk, "--keep")):
            with pytest.raises(BadInput, match="disk is full"), claimed(output):
                pytest.fail("there is no room")
        assert tree(disk) == {}
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for output in (out_file(disk / "a.json"), OutBundle(disk / "deep/b"), OutFolder(disk, "--keep")):
            with pytest.raises(BadInput, match="read-only"), claimed(output):
                pytest.fail("nothing can be written")


def test_a_read_only_file_is_reported_before_work(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text('{"clearport": "0.1.0", "error": ""}')
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        with pytest.raises(BadInput, match="permission denied"), claimed(out_file(path)):
            pytest.fail("it cannot be replaced")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


HEADS = (b"", b"{", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"<testsuite")
ASKED = (
    *(ours.is_junit, ours.is_bench_json, ours.is_weights, ours.is_card, ours.is_checkpoint, ours.is_browser_record),
    ours.is_png,
)


@settings(max_examples=200)
@given(
    data=st.binary(max_size=400), head=st.sampled_from([b"", b"{", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"<testsuite"])
)
def test_no_content_upsets_who_asks_whose_it_is(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes
) -> None:
    folder = tmp_path_factory.mktemp("whose")
    (folder / "manifest.json").write_bytes(head + data)
    for is_ours in ASKED:
        assert is_ours(folder / "manifest.json") in {False, True}
    assert ours.bundle_files(folder) is None
    shutil.rmtree(folder)


def test_an_error_names_the_file_that_it_is_about(tmp_path: Path) -> None:
    other = tmp_path / "photos/gone.png"
    with pytest.raises(BadInput, match=r"photos/gone\.png: no such file"), bundle.building(tmp_path / "out"):
        other.read_bytes()
    with pytest.raises(BadInput, match=r"out/deep/gone: no such file"), bundle.building(tmp_path / "out") as folder:
        (folder / "deep/gone").read_bytes()
    with pytest.raises(BadInput, match=r"out: libfoo\.so: cannot open"), bundle.building(tmp_path / "out"):
        raise OSError("libfoo.so: cannot open shared object")
    with pytest.raises(BrokenPipeError), bundle.building(tmp_path / "out"):
        raise BrokenPipeError
    assert tree(tmp_path) == {}


def test_the_current_folder_is_no_place_for_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle takes the place of an empty folder: the shell would be left in one that is gone."""
    (tmp_path / "here/below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here/below")
    with pytest.raises(BadInput, match="it is the current folder"), claimed(OutBundle(Path())):
        pass
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here/below").rmdir()
    with pytest.raises(BadInput, match="it is the current folder"), claimed(OutBundle(tmp_path / "here")):
        pass
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no file system that refuses files")
def test_a_place_where_no_lock_can_be_made_is_said_to_be_unwritable() -> None:
    with pytest.raises(BadInput, match="--out cannot be written"), claimed(OutBundle(Path("/proc/none"))):
        pass
