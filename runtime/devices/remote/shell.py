"""What a phone or a board must offer so that clearport can run artifacts on it: a shell, and files back and forth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What a command on the device left; ``code`` is 128 plus the signal's number where a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said last, for a message."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


@dataclass(frozen=True)
class Voice:
    """A local command that speaks for one on the device.

    Attributes:
        argv: its stdin, stdout and stderr are those of the command there: see ``launch.Launch.argv``.
        mark: what stands on stdout and stderr before the command's own first byte; whatever comes before that was
            printed by a login shell. Empty where nothing can come before.
    """

    argv: tuple[str, ...]
    mark: bytes = b""


class Shell(Protocol):
    """A connection to one device. ``address`` names it in rows and messages.

    A command is a line for a POSIX shell: who builds it quotes it. It reaches one whatever the user's login shell is,
    and what that prints is no part of its answer (``remote.answer``).
    """

    address: str

    def run(self, command: str, timeout_s: float) -> Outcome:
        """Run a command to its end, without input.

        Raises:
            DeviceLost: the device is gone.
            RuntimeFailure: the command took longer than ``timeout_s``.
        """
        ...

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the device; the folder is there.

        Raises:
            DeviceLost: the device is gone.
            RuntimeFailure: the device refused, with its words.
        """
        ...

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device. Raises as ``push`` does."""
        ...

    def speak(self, command: str) -> Voice:
        """What stands for ``command`` on the device, which takes bytes and gives bytes while it runs."""
        ...

    def lost(self) -> str | None:
        """Why the device is gone, as far as is known without asking it; None: it is there."""
        ...
