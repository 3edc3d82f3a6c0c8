"""Every output that a user names, claimed before work starts and held until it is written.

    with claimed(OutFile(path, "--junit", "a JUnit report", ours.is_junit), reads=(bundle,)):
        ...                        # minutes of work
        write_text(path, text)     # a file that appeared meanwhile is never replaced

A claim reports immediately what would fail after the work: a folder instead of a file, a full disk, an unwritable path,
a file not written by clearport, an input, another clearport process writing there. It removes leftovers of killed runs,
and creates parent folders, which are removed again if nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from clearport.disk import leftovers, ours
from clearport.disk.files import explain, is_stream, real
from clearport.disk.swap import Claim, claim_of, enter, identity, leave, unknown_in
from clearport.errors import BadInput

_ROOM = 1 << 16
"""The minimum free space, in bytes."""

_MOST_NAMED = 3

_SWEEPING_S = 1.0
"""Seconds to wait for a lock: a run that only sweeps leftovers beside an output holds it briefly."""


@dataclass(frozen=True)
class OutFile:
    """A file to be written.

    Attributes:
        path: where.
        option: the option that names it, such as ``--junit``.
        what: its description, with an article.
        ours: whether an existing file is of this kind and may be replaced.
        keep: refuse to replace even ours; the text says what to do.
        room: its minimum size in bytes.
        inside: it may be inside an input folder.
    """

    path: Path
    option: str
    what: str
    ours: Callable[[Path], bool]
    keep: str = ""
    room: int = _ROOM
    inside: bool = False

    def objection(self, place: Path) -> str | None:
        """The objection to writing to ``place``, given its current content."""
        if place.is_dir() or str(self.path).endswith(("/", os.sep)):
            return f"it is a folder; {self.option} needs a file name"
        if not os.path.lexists(place):
            return None
        if not place.is_file():
            return None if is_stream(place) else f"it is neither a file nor a folder; {self.option} needs a file"
        if place.stat().st_size and not self.ours(place):
            return f"a file is there that is not {self.what} and is not replaced: choose another path, or move it away"
        if self.keep:
            return self.keep
        with place.open("r+b"):  # some files are read-only, whatever their folder allows
            return None


@dataclass(frozen=True)
class OutFolder:
    """A folder that files are added to; its content stays. ``shared``: others may add to it at the same time."""

    path: Path
    option: str
    shared: bool = False
    room: int = _ROOM
    inside: bool = False

    def objection(self, place: Path) -> str | None:
        """See ``OutFile.objection``."""
        if os.path.lexists(place) and not place.is_dir():
            return f"it is a file; {self.option} needs a folder"
        return None


@dataclass(frozen=True)
class OutBundle:
    """A bundle to be written: a folder that appears complete. ``force``: it may replace another bundle."""

    path: Path
    option: str = "--out"
    force: bool = False
    room: int = _ROOM
    inside: bool = False

    def objection(self, place: Path) -> str | None:
        """See ``OutFile.objection``."""
        if not place.is_dir():
            taken = os.path.lexists(place)
            return "a file is at this path; choose a folder that does not exist yet" if taken else None
        if os.path.ismount(place):
            return "it is the root of a file system, which cannot be replaced; choose a folder in it"
        if Path.cwd().is_relative_to(place):
            return "it is the current folder or contains it, and a bundle takes its place; choose a folder in it"
        return self._occupied(place) if any(place.iterdir()) else None

    def _occupied(self, place: Path) -> str | None:
        leftovers.sweep(place)
        files = ours.bundle_files(place)
        if files is None:
            return "the folder holds other files and no bundle; choose one that is empty or does not exist yet"
        if not self.force:
            return "a bundle is already there; choose another folder, or replace it with --force"
        return _theirs(unknown_in(place))


Output = OutFile | OutFolder | OutBundle


def _theirs(names: Sequence[str]) -> str | None:
    if not names:
        return None
    shown = ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" if len(names) > 3 else "")
    return (
        f"the bundle's folder has changed or added files ({shown}), which --force does not delete; move them (or the "
        "folder) away, or choose another folder"
    )


@contextmanager
def claimed(*outputs: Output | None, reads: Sequence[Path] = ()) -> Iterator[None]:
    """Hold outputs for the duration of the block; None is an output that was not requested.

    A folder that files are added to may be claimed again by this process.

    Args:
        outputs: what will be written.
        reads: input files and folders. No output may be one of them, or inside such a folder.

    Raises:
        BadInput: an output cannot be written; nothing was done.
    """
    asked = [output for output in outputs if output is not None]
    places = [real(output.path) for output in asked]
    for number, (output, place) in enumerate(zip(asked, places, strict=True)):
        if place in places[:number]:
            raise BadInput(f"{output.path}: {output.option} and {asked[places.index(place)].option} name the same path")
        _check(output, place, reads)
    with ExitStack() as held:
        for output, place in zip(asked, places, strict=True):
            if not is_stream(place) and not (isinstance(output, OutFolder) and claim_of(place)):
                held.enter_context(_held(output, place))
        yield


def _check(output: Output, place: Path, reads: Sequence[Path]) -> None:
    try:
        objection = _input(output, place, reads) or output.objection(place)
    except OSError as error:
        raise explain(error, output.path) from error
    if objection:
        raise BadInput(f"{output.path}: {objection}")


def _input(output: Output, place: Path, reads: Sequence[Path]) -> str | None:
    for read in reads:
        if os.path.lexists(place) and read.exists() and place.samefile(read):
            return f"{output.option} would overwrite the input {read}; choose another path"
        if not output.inside and read.is_dir() and real(read) in place.parents:
            return f"{output.option} is inside the input folder {read}, which is not changed; choose another path"
    return None


@contextmanager
def _held(output: Output, place: Path) -> Iterator[None]:
    """Create parent folders, take the lock, check free space; and undo all of it."""
    made = _make_parents(output, place)
    try:
        with _locked(output, place):
            folder = place if isinstance(output, OutFolder) else place.parent
            leftovers.sweep(folder, held=place)
            _try(output, folder)
            _check(output, place, ())  # again: another run may have written before we held the lock
            claim = Claim(place, identity(place))
            enter(claim)
            try:
                yield
            finally:
                leave(claim)
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _make_parents(output: Output, place: Path) -> list[Path]:
    wanted = place if isinstance(output, OutFolder) else place.parent
    missing = [folder for folder in (wanted, *wanted.parents) if not os.path.lexists(folder)]
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
        os.scandir(wanted).close()  # reports a parent that is not a folder
    except OSError as error:
        raise explain(error, output.path) from error
    return missing[::-1]


@contextmanager
def _locked(output: Output, place: Path) -> Iterator[None]:
    if isinstance(output, OutFolder) and output.shared:
        yield
        return
    lock = leftovers.lock_for(place)
    try:
        lock.acquire(timeout=_SWEEPING_S, poll_interval=0.02)
    except Timeout as error:
        _try(output, place.parent)  # some file systems that take no files fail to lock without a reason
        raise BadInput(
            f"{output.path}: another clearport process is writing there; wait for it, or choose another path"
        ) from error
    except OSError as error:
        if error.errno not in leftovers.NO_LOCKS and not isinstance(
            output, OutFolder
        ):  # whose parent need not be writable
            raise _unwritable(error, output, place.parent) from error
    try:
        yield
    finally:
        if lock.is_locked:
            leftovers.release(lock)


def _try(output: Output, folder: Path) -> None:
    """Write a test file at the output's location and remove it."""
    probe = leftovers.temporary(folder / output.path.name)
    try:
        with probe.open("wb") as file:
            file.write(bytes(output.room))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(error, output, folder) from error
    finally:
        leftovers.remove(probe)


def _unwritable(error: OSError, output: Output, folder: Path) -> BadInput:
    reason = str(explain(OSError(error.errno, error.strerror), folder))
    return BadInput(f"{output.path}: {output.option} cannot be written: {reason}")
