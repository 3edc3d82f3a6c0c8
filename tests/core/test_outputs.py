"""Outputs: checked before work starts, locked while it runs, checked again at the swap; nobody's files are lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearport import bundle, leftovers, ours, swap
from clearport.base import BadInput
from clearport.bundle import Bundle
from clearport.files import atomic_path, write_text
from clearport.outputs import OutBundle, OutFile, OutFolder, claimed

MINE = "years of work"


def out_file(path: Path, keep: str = "") -> OutFile:
    return OutFile(path, "--json", "a record", ours.is_bench_json, keep)


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, with the content of files and the place that links lead to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = "folder" if path.is_dir() else path.read_text(errors="replace") if path.is_file() else "special"
        found[path.relative_to(folder).as_posix()] = str(path.readlink()) if path.is_symlink() else what
    return found


@pytest.fixture(params=["one step", "two steps"])
def any_swap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to replace something: file systems that exchange two names, and those that do not."""
    if request.param == "two steps":
        monkeypatch.setattr(swap, "_renameat2", lambda: None)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with one of everything that may be at an output."""
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


def test_what_is_read_is_never_an_output(place: Path) -> None:
    (place / "link.json").symlink_to("file.txt")
    reads = (place / "file.txt", place / "folder")
    for name in ("file.txt", "to_file", "twin.json", "link.json", "folder", "to_folder"):
        with (
            pytest.raises(BadInput, match="would overwrite what is read"),
            claimed(out_file(place / name), reads=reads),
        ):
            pytest.fail(name)
    for name in ("folder/new.json", "folder/deep/new.json", "to_folder/new.json", "folder/../folder/new.json"):
        with pytest.raises(BadInput, match="lies within"), claimed(out_file(place / name), reads=reads):
            pytest.fail(name)
    twice = (out_file(place / "a.json"), OutFile(place / "./a.json", "--junit", "a report", ours.is_junit))
    with pytest.raises(BadInput, match="name the same place"), claimed(*twice):
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


@pytest.mark.parametrize("make", [out_file, lambda p: OutBundle(p, force=True)], ids=["file", "bundle"])
def test_of_two_writers_the_second_is_refused(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    busy = "another clearport is writing there"
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
def test_what_comes_to_the_place_during_the_work_stays(
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


@pytest.fixture(scope="module")
def pristine(make_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "pristine")


@pytest.fixture
def mine(pristine: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine.folder, tmp_path / "mine"))


def replace(place: Path) -> None:
    with bundle.building(place, force=True) as folder:
        (folder / "new").write_text("new")


def test_a_bundle_is_replaced_with_force(mine: Path, any_swap: None) -> None:
    replace(mine)
    assert tree(mine.parent) == {"mine": "folder", "mine/new": "new"}


def test_what_file_managers_leave_is_nobodys(mine: Path, any_swap: None) -> None:
    for name in (".DS_Store", "tflite/Thumbs.db", "goldens/desktop.ini"):
        (mine / name).write_text("a view")
    replace(mine)
    assert tree(mine.parent) == {"mine": "folder", "mine/new": "new"}


EXTENSION = {"manifest_version": 3, "name": "Clear Port", "version": "1.0", "files": {}, "model": {}}


def extension(folder: Path) -> None:
    """A browser's extension, whose folder has files of the same names."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    (folder / "manifest.json").write_text(json.dumps(EXTENSION))
    (folder / "SHA256SUMS").write_text("0" * 64 + "  src/index.js\n")


def renamed(folder: Path) -> None:
    (folder / "manifest.json").rename(folder / "manifest.json.bak")


def broken(folder: Path) -> None:
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:-40])


def listed_elsewhere(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


def added(folder: Path) -> None:
    (folder / "notes.txt").write_text(MINE)


def added_deep(folder: Path) -> None:
    (folder / "tflite/mine").mkdir()
    (folder / "tflite/mine/app.kt").write_text(MINE)


def added_hidden(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("ref: refs/heads/main")


def added_empty(folder: Path) -> None:
    (folder / "later").mkdir()


def linked(folder: Path) -> None:
    (folder / "data").symlink_to("/etc")


def linked_instead(folder: Path) -> None:
    moved = shutil.move(folder / "tflite", folder.parent / "elsewhere")
    (folder / "tflite").symlink_to(moved)


def changed(folder: Path) -> None:
    (folder / "scales.json").write_text(MINE)


THEIRS = (
    changed,
    *(extension, renamed, broken, listed_elsewhere, added, added_deep, added_hidden, added_empty),
    *(linked, linked_instead),
)


@pytest.mark.parametrize("spoil", THEIRS)
def test_force_replaces_bundles_and_nothing_else(mine: Path, spoil: Callable[[Path], None]) -> None:
    spoil(mine)
    before = tree(mine.parent)
    with pytest.raises(BadInput, match=r"no bundle|not as clearport wrote it"):
        replace(mine)
    assert tree(mine.parent) == before


@pytest.mark.parametrize("spoil", THEIRS)
def test_what_comes_into_a_bundle_while_it_is_replaced_stays(
    mine: Path, spoil: Callable[[Path], None], any_swap: None
) -> None:
    changed = "was changed while this was made"
    with pytest.raises(BadInput, match=changed) as refused, bundle.building(mine, force=True) as folder:
        (folder / "new").write_text("new")
        spoil(mine)
        spoilt = tree(mine)
    assert tree(mine) == spoilt
    assert Path(str(refused.value).rpartition(" is in ")[2], "new").read_text() == "new"


def test_a_bundle_of_another_version_is_ours(mine: Path) -> None:
    content = json.loads((mine / "manifest.json").read_text())
    (mine / "manifest.json").write_text(json.dumps({**content, "schema_version": 7, "news": True}))
    replace(mine)
    assert tree(mine) == {"new": "new"}


def test_a_mount_point_is_refused(tmp_path: Path) -> None:
    root = "root of a file system"
    with SmallDisk(tmp_path / "disk", "64k") as disk, pytest.raises(BadInput, match=root), bundle.building(disk):
        pytest.fail("it cannot be replaced")


class SmallDisk:
    """A small file system of its own; the test is skipped where none can be mounted."""

    def __init__(self, place: Path, size: str) -> None:
        self.place, self.size = place, size

    def __enter__(self) -> Path:
        self.place.mkdir()
        options = f"size={self.size}"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.place], check=False).returncode:
            pytest.skip("a small file system cannot be mounted here")
        return self.place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.place], check=True)


def test_a_full_or_read_only_disk_is_told_before_work(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", "16k") as disk:
        for output in (out_file(disk / "a.json"), OutBundle(disk / "b"), OutFolder(disk, "--keep")):
            with pytest.raises(BadInput, match="disk is full"), claimed(output):
                pytest.fail("there is no room")
        assert tree(disk) == {}
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for output in (out_file(disk / "a.json"), OutBundle(disk / "deep/b"), OutFolder(disk, "--keep")):
            with pytest.raises(BadInput, match="read-only"), claimed(output):
                pytest.fail("nothing can be written")


def test_a_file_that_may_not_be_changed_is_told_before_work(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text('{"clearport": "0.1.0", "error": ""}')
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        with pytest.raises(BadInput, match="permission denied"), claimed(out_file(path)):
            pytest.fail("it cannot be replaced")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from clearport.files import atomic_path
from clearport.leftovers import Scratch
from clearport.outputs import OutBundle, claimed
place = Path(sys.argv[1])
scratch = Scratch("run")
with claimed(OutBundle(place)), atomic_path(place) as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("half")
    if "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other process uses."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


LOOKALIKES = (
    ".out.3fa9c1d2e5b7a804.partial",
    ".out.0123456789abcdef.old",
    ".out.partial",
    "out.kept-abcdef",
    ".clearport-lock",
    "clearport-run-0123456789abcdef/mine",
    "tmp/clearport-run-0123456789abcdef/owner.clearport-lock",
    "tmp/clearport-worker-abcdefgh/mine",
)


def test_the_next_run_removes_what_killed_runs_left_and_nothing_else(tmp_path: Path, scratch: Path) -> None:
    for name in LOOKALIKES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(MINE)
    (tmp_path / ".mine.clearport-lock").write_text(MINE)
    before = tree(tmp_path)
    line = [sys.executable, "-c", KILLED]
    with subprocess.Popen([*line, tmp_path / "other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout is not None
        living.stdout.readline()
        for _ in range(3):
            subprocess.run([*line, tmp_path / "out", "killed"], check=False)
        halves = [name for name in tree(tmp_path) if name.endswith("/half")]
        assert len(halves) == 2  # each run removed what the one before left
        with leftovers.Scratch("run"), claimed(out_file(tmp_path / "new.json")):
            pass
        assert [name for name in tree(tmp_path) if name.endswith("/half")] == [
            name for name in halves if name.startswith(".other.")
        ]
        living.communicate(b"")
    found = tree(tmp_path)
    assert found.pop("other/half") == "half"
    assert {name: text for name, text in found.items() if not name.startswith(("tmp/clearport-run", "other"))} == {
        name: text for name, text in before.items() if not name.startswith("tmp/clearport-run")
    }
    assert found["tmp/clearport-run-0123456789abcdef/owner.clearport-lock"] == MINE


def test_a_bundle_that_was_moved_aside_by_a_killed_run_is_put_back(mine: Path) -> None:
    before = tree(mine)
    mine.rename(leftovers.temporary(mine, "old"))
    with claimed(out_file(mine.parent / "new.json")):
        pass
    assert tree(mine) == before
    shutil.copytree(mine, aside := leftovers.temporary(mine, "old"))
    (aside / "notes.txt").write_text(MINE)
    leftovers.sweep(mine.parent)
    assert tree(mine) == before
    assert [path.read_text() for path in mine.parent.glob("mine.kept-*/*")] == [MINE]


def test_a_record_that_was_killed_between_its_two_files_is_completed(mine: Path) -> None:
    sums = (mine / "SHA256SUMS").read_text()
    (mine / "SHA256SUMS").rename(leftovers.temporary(mine / "SHA256SUMS"))
    (mine / "SHA256SUMS").write_text(sums.replace("a", "b"))
    (leftovers.temporary(mine / "manifest.json")).write_text("half")
    assert Bundle.load(mine).verify_files() == []
    assert not list(mine.glob(".*"))


def test_what_a_killed_record_left_in_a_bundle_keeps_nobody_from_replacing_it(mine: Path) -> None:
    leftovers.temporary(mine / "manifest.json").write_text("half")
    replace(mine)
    assert tree(mine.parent) == {"mine": "folder", "mine/new": "new"}


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
