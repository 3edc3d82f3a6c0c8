"""A cache returns what was stored, or nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from clearport.disk import cache
from clearport.disk.cache import Cache, Damaged


def test_it_returns_what_was_stored(tmp_path: Path) -> None:
    kept = Cache(tmp_path / "cache")
    assert kept.get("a") is None
    assert kept.put("a", b"one\ntwo")
    assert kept.get("a") == b"one\ntwo"
    assert kept.put("a", b"")
    assert kept.get("a") == b""
    if os.name == "posix":
        assert kept.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("place", [0, 20, 60, 90, -1])
def test_a_damaged_entry_is_reported_and_removed(tmp_path: Path, place: int) -> None:
    kept = Cache(tmp_path)
    kept.put("a", b"content" * 5)
    (path,) = tmp_path.glob("a*")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged, match=str(path)):
        kept.get("a")
    assert kept.get("a") is None


def test_an_entry_under_another_name_or_cut_short_is_damaged(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    kept.put("a", b"content")
    (path,) = tmp_path.glob("a*")
    path.rename(path.with_name(path.name.replace("a", "b", 1)))
    with pytest.raises(Damaged):
        kept.get("b")
    kept.put("c", b"content")
    (path,) = tmp_path.glob("c*")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Damaged):
        kept.get("c")


def test_the_least_recently_used_entries_leave_first(tmp_path: Path) -> None:
    kept = Cache(tmp_path, most=1000)
    for number, name in enumerate("abc"):
        kept.put(name, bytes(200))
        (path,) = tmp_path.glob(f"{name}*")
        os.utime(path, (number, number))
    assert kept.get("a") == bytes(200)  # now the most recently used
    kept.put("d", bytes(200))
    assert [name for name in "abcd" if kept.get(name) is not None] == ["a", "c", "d"]


def test_too_large_results_and_unwritable_folders_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert not Cache(tmp_path / "file").put("a", b"content")
    assert Cache(tmp_path / "file").get("a") is None
    assert (tmp_path / "file").read_text() == "not a folder"
    monkeypatch.setattr(cache, "MOST_ENTRY", 100)
    kept = Cache(tmp_path / "cache")
    assert not kept.put("a", bytes(100))
    assert kept.get("a") is None


def test_concurrent_writers_and_readers_see_whole_entries(tmp_path: Path) -> None:
    kept = Cache(tmp_path, most=3000)
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        for turn in range(20):
            name = "abc"[(seed + turn) % 3]
            kept.put(name, name.encode() * 900)
            found = kept.get(name)
            if found is not None and found != name.encode() * 900:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_folder_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLEARPORT_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.delenv("CLEARPORT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "clearport"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.folder() == Path("~/.cache/clearport").expanduser()
