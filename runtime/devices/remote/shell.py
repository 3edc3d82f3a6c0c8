"""Interface of a phone or board for running artifacts: a shell and file transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command on the device; ``code`` is 128 plus the signal's number if a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """The last line of its output, for a message."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


@dataclass(frozen=True)
class Voice:
    """A local command that forwards to one on the device.

    Attributes:
        argv: its stdin, stdout and stderr are those of the command there: see ``launch.Launch.argv``.
        mark: bytes on stdout and stderr before the command's output; anything before comes from a login shell. Empty
            if nothing can precede.
    """

    argv: tuple[str, ...]
    mark: bytes = b""


class Shell(Protocol):
    """A connection to one device. ``address`` names it in rows and messages.

    A command is a line for a POSIX shell, quoted by the caller. It runs in one whatever the user's login shell is,
    whose own output is not part of the result (``remote.answer``).
    """

    address: str

    def run(self, command: str, timeout_s: float) -> Outcome:
        """Run a command to completion, without input.

        Raises:
            DeviceLost: the device is lost.
            RuntimeFailure: the command took longer than ``timeout_s``.
        """
        ...

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the device; the folder must exist.

        Raises:
            DeviceLost: the device is lost.
            RuntimeFailure: the device refused; quotes it.
        """
        ...

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device. Raises as ``push`` does."""
        ...

    def speak(self, command: str) -> Voice:
        """The local command that forwards to ``command`` on the device, with binary streams while it runs."""
        ...

    def lost(self) -> str | None:
        """The reason that the device is lost, as far as known without contacting it, or None."""
        ...
