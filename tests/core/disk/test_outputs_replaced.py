"""Replacement of bundles, and leftovers of killed runs: only clearport's files are removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearport.bundle import folder as bundle
from clearport.bundle.folder import Bundle
from clearport.disk import leftovers
from clearport.disk.outputs import claimed
from clearport.errors import BadInput
from tests.core.places import MINE, SmallDisk, out_file, tree


def replace(place: Path) -> None:
    with bundle.building(place, force=True) as folder:
        (folder / "new").write_text("new")


def test_a_bundle_is_replaced_with_force(mine: Path, any_swap: None) -> None:
    replace(mine)
    assert tree(mine.parent) == {"mine": "folder", "mine/new": "new"}


def test_files_of_file_managers_are_ignored(mine: Path, any_swap: None) -> None:
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
    with pytest.raises(BadInput, match=r"no bundle|changed or added files"):
        replace(mine)
    assert tree(mine.parent) == before


@pytest.mark.parametrize("spoil", THEIRS)
def test_files_added_to_a_bundle_during_its_replacement_are_kept(
    mine: Path, spoil: Callable[[Path], None], any_swap: None
) -> None:
    changed = "was changed meanwhile and is not replaced"
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


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from clearport.disk.files import atomic_path
from clearport.disk.leftovers import Scratch
from clearport.disk.outputs import OutBundle, claimed
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


def test_the_next_run_removes_only_the_leftovers_of_killed_runs(tmp_path: Path, scratch: Path) -> None:
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


def test_files_that_vanish_meanwhile_do_not_abort_the_cleanup(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out", "killed"], check=False, stdout=subprocess.DEVNULL)
    assert [name for name in tree(tmp_path) if name.endswith("/half")]
    for number in range(20):
        (tmp_path / f"going {number}").write_text(MINE)
    known = leftovers._stem_of

    def stem_of(entry: os.DirEntry[str]) -> str | None:
        if entry.name.startswith("going"):
            raise FileNotFoundError(entry.name)
        return known(entry)

    monkeypatch.setattr(leftovers, "_stem_of", stem_of)
    leftovers.sweep(tmp_path)
    assert [name for name in tree(tmp_path) if name.endswith("/half")] == []


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


def test_leftovers_of_a_killed_run_in_a_bundle_do_not_prevent_its_replacement(mine: Path) -> None:
    leftovers.temporary(mine / "manifest.json").write_text("half")
    replace(mine)
    assert tree(mine.parent) == {"mine": "folder", "mine/new": "new"}


CROWD = """
import sys
from clearport.disk.leftovers import Scratch

for _ in range(150):
    with Scratch("run") as folder:
        (folder / "mine").write_text("mine")
        assert (folder / "mine").read_text() == "mine"
"""


def test_many_runs_at_once_never_take_each_others_folders_for_dead(scratch: Path) -> None:
    """A folder is there for a moment before it is locked."""
    crowd = [subprocess.Popen([sys.executable, "-c", CROWD], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [one.communicate(timeout=240)[1] for one in crowd]
    assert [text for text in said if text] == []
    assert [one.returncode for one in crowd] == [0] * len(crowd)
    assert list(scratch.glob("clearport-*")) == []


def test_a_folder_that_a_library_recreated_after_its_run_is_removed_once_it_has_settled(scratch: Path) -> None:
    """PyTorch's compiler makes its cache folder anew when a run ends after its folder was removed."""
    with leftovers.Scratch("run") as folder:
        pass
    (folder / "torchinductor_me").mkdir(parents=True)
    leftovers.sweep_scratch()
    assert folder.is_dir()  # it may have been made a moment ago, and be locked a moment later
    os.utime(folder, (0, 0))
    leftovers.sweep_scratch()
    assert list(scratch.iterdir()) == []


def test_a_folder_that_another_run_takes_for_dead_is_made_again(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, thieves = leftovers.FileLock, []

    def taken(path: Path, **options: Any) -> Any:
        if not thieves:  # as a run does that looks for dead ones' folders
            thieves.append(made(path, thread_local=False))
            thieves[0].acquire(timeout=0)
        return made(path, **options)

    monkeypatch.setattr(leftovers, "FileLock", taken)
    with leftovers.Scratch("run") as folder:
        assert folder.is_dir()
        assert Path(thieves[0].lock_file).parent != folder
    thieves[0].release()
