"""Files on a device: each in a folder named by its SHA-256, placed atomically, and removed at the end."""

from __future__ import annotations

import contextlib
import re
import secrets
from pathlib import Path, PurePosixPath
from shlex import quote
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from clearport.disk.files import digest, file_sha256, files_below, size_bytes
from clearport.errors import ClearportError, RuntimeFailure
from clearport.runtime.devices.device import DeviceLost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clearport.runtime.devices.remote.shell import Outcome, Shell

QUICK_S = 30.0
"""Timeout in seconds of a command that only lists or moves files."""

_SPARE = 1 << 20
"""Bytes to keep free on a device for a worker's temporary files."""

_PATIENT_RMDIR = "for _ in 1 2 3 4 5 6 7 8 9 10; do rmdir {0} 2>/dev/null; [ -d {0} ] || exit 0; sleep 1; done"
"""Workers' guards outlive the stream a little, until they have removed their temporary files."""

_SPOILT = 65
_DF_ROW = re.compile(r"\s(\d+)\s+(\d+)\s+(-?\d+)\s+\d+%\s")


class DeviceFull(RuntimeFailure):
    """A file does not fit on the device."""


class Stage:
    """clearport's folder on a device; use it as a context manager.

    Args:
        shell: the device.
        folder: absolute path there.
        keep: keep pushed files for the next run. Otherwise they and created folders are removed at the end.
    """

    def __init__(self, shell: Shell, folder: str, *, keep: bool = False) -> None:
        if not folder.startswith("/") or PurePosixPath(folder).name == "":
            raise ValueError(f"{folder!r} is not a folder below the root")
        self._shell, self.folder, self._keep = shell, folder, keep
        self._pushed: list[str] = []
        self._made: list[str] = []

    def __enter__(self) -> Self:
        """Create the folder.

        Raises:
            DeviceLost: it cannot be created or written to, or the device is lost.
        """
        path, ours = PurePosixPath(self.folder), quote(self.folder)
        places = [quote(str(place)) for place in (path, *path.parents)]
        looks = "; ".join(f"[ -d {place} ] || echo {place}" for place in places)
        made = self._run(f"{looks}; mkdir -p {ours} && [ -w {ours} ]")
        self._made = made.out.splitlines()
        if made.code:
            self._tidy()
            words = made.words if made.err else "it is not writable"
            raise DeviceLost(f"{self._shell.address}: the folder {self.folder} cannot be used: {words}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with contextlib.suppress(ClearportError):  # the device is lost: files there cannot be removed
            self._tidy()

    def put(self, path: Path, sha256: str | None = None) -> str:
        """The path of a file or folder on the device, pushed unless it is there already.

        Raises:
            DeviceFull: it does not fit.
            DeviceLost: the device is lost.
            RuntimeFailure: its checksum differs after the transfer, or the device refused.
        """
        place = f"{self.folder}/{sha256 or digest(path)}"
        if place not in self._pushed and self._bring(path, place):
            self._pushed.append(place)
        return f"{place}/{path.name}"

    def remove(self, places: Iterable[str]) -> None:
        """Remove what ``put`` pushed to ``places``, unless it was there before."""
        folders = {str(PurePosixPath(place).parent) for place in places} & set(self._pushed)
        if folders and not self._keep:
            self._run(f"rm -rf {' '.join(map(quote, sorted(folders)))}")
            self._pushed = [folder for folder in self._pushed if folder not in folders]

    def free_bytes(self) -> int | None:
        """Free bytes on the folder's file system; None if the device does not report them."""
        return _free(self._run(self._df))

    @property
    def _df(self) -> str:
        return f"df -Pk {quote(self.folder)}"

    def _bring(self, path: Path, place: str) -> bool:
        """Push to a temporary path and move it; False if it was there already. Few commands, since each is slow."""
        temporary = f"{place}.{secrets.token_hex(4)}.partial"
        targets = {f: f"{temporary}/{PurePosixPath(path.name, *f.relative_to(path).parts)}" for f in files_below(path)}
        folders = " ".join(sorted({quote(str(PurePosixPath(target).parent)) for target in targets.values()}))
        look = self._run(f"[ -e {quote(place)} ] || {{ {self._df}; mkdir -p {folders}; }}")
        if not look.out and not look.code:
            return False
        try:
            self._check_room(path.name, size_bytes(path), _free(look))
            self._must(look, path.name)
            for file, target in targets.items():
                self._shell.push(file, target)
            sums = {target: file_sha256(file) for file, target in targets.items()}
            self._must(self._run(_settle(temporary, place, sums)), path.name)
        except ClearportError as error:
            self._explain(path.name, temporary, error)
        return True

    def _check_room(self, name: str, size: int, free: int | None) -> None:
        if free is not None and free < size + _SPARE:
            raise DeviceFull(
                f"{self._shell.address} is full: {name} needs {_mib(size + _SPARE)}, and {self.folder} has "
                f"{_mib(free)} free; free some space there"
            )

    def _must(self, done: Outcome, name: str) -> None:
        if done.code == _SPOILT:
            raise RuntimeFailure(f"{self._shell.address}: {name} arrived with a wrong checksum")
        if done.code:
            raise RuntimeFailure(f"{self._shell.address}: {name} cannot be put into {self.folder}: {done.words}")

    def _explain(self, name: str, temporary: str, error: ClearportError) -> NoReturn:
        """Raise the error of a failed push: often that the device has become full meanwhile."""
        if isinstance(error, DeviceLost):
            raise error
        left = _free(self._run(f"{self._df}; rm -rf {quote(temporary)}"))
        if left is not None and left < _SPARE and not isinstance(error, DeviceFull):
            raise DeviceFull(
                f"{self._shell.address} became full while {name} was pushed: {_mib(left)} left in {self.folder}; "
                f"free some space there ({error})"
            ) from error
        raise error

    def _run(self, command: str) -> Outcome:
        return self._shell.run(command, QUICK_S)

    def _tidy(self) -> None:
        places = " ".join(quote(place) for place in self._pushed)
        if places and not self._keep:
            self._run(f"rm -rf {places}")
        if self._made and not self._keep:
            self._run(_PATIENT_RMDIR.format(quote(self._made[0])))
        for folder in self._made[1:]:  # innermost first; rmdir keeps non-empty folders
            self._run(f"rmdir {quote(folder)}")


def _settle(temporary: str, place: str, sums: Mapping[str, str]) -> str:
    """A command that verifies the transfer, if the device has sha256sum, and renames it."""
    lines = " ".join(quote(f"{sha}  {target}") for target, sha in sums.items())
    check = f"printf '%s\\n' {lines} | sha256sum -c >/dev/null 2>&1 || exit {_SPOILT}"
    move = f"if [ -e {quote(place)} ]; then rm -rf {quote(temporary)}; else mv {quote(temporary)} {quote(place)}; fi"
    return f"if command -v sha256sum >/dev/null; then {check}; fi; {move}"


def _free(df: Outcome) -> int | None:
    row = _DF_ROW.search(df.out)
    return int(row[3]) * 1024 if row else None


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
