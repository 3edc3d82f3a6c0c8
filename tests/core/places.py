"""Shared helpers for tests of outputs: a user's file, outputs, and the content of a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from clearport.disk import ours
from clearport.disk.outputs import OutFile

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
