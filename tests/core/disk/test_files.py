"""Files are written atomically."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearport.disk.files import atomic_path, digest, explain, file_sha256, size_bytes, write_bytes, write_text
from clearport.errors import BadInput


def test_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.bin"
    write_bytes(target, b"one")
    write_bytes(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]


def test_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="midway"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_folder_is_swapped_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    for text in ("first", "second"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert [p.name for p in target.iterdir()] == ["second"]
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_folder_survives_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.mkdir()
        raise KeyboardInterrupt
    assert [p.name for p in target.iterdir()] == ["kept"]
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(BadInput, match="disk is full"), atomic_path(tmp_path / "x") as temporary:
        temporary.symlink_to(full)
        temporary.write_bytes(b"no room")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOENT, errno.ENOTDIR])
def test_every_error_names_the_path(code: int) -> None:
    assert "some/place" in str(explain(OSError(code, "x"), Path("some/place")))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file"):
        write_bytes(tmp_path / "file" / "below", b"x")


@given(st.binary(max_size=4096))
def test_sha256_is_sha256(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("digest") / "x"
    path.write_bytes(data)
    assert digest(path) == file_sha256(path) == hashlib.sha256(data).hexdigest()
    assert size_bytes(path) == len(data)


def test_folder_digest_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    first = digest(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    second = digest(tmp_path)
    (tmp_path / "a" / "y").write_bytes(b"2")
    assert len({first, second, digest(tmp_path)}) == 3
