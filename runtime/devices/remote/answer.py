"""Commands that any login shell passes on, and answers that are told from whatever else is printed.

``sshd`` and ``adbd`` hand a command to the user's login shell. That may be fish, tcsh or zsh, which read quotes and
variables otherwise, and its start-up files may print. So the login shell sees one line without anything that shells
read differently, ``exec sh -c '...' sh '...'``; a POSIX shell then runs the command, and writes a mark before and after
what the command says, on both streams. The marks are random and are put together there: a login shell that repeats its
command line (``set -x``) does not show them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from clearport.runtime.devices.remote.shell import Outcome

_PLAIN = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-+=.,:;/@%^#&|<>(){}[]?*~"$`')
"""What all shells keep as it is between single quotes: all but ``'``, ``\\``, ``!`` (tcsh) and the ends of lines."""

_TELL = 'm() { printf %s%s "$2" "$3"; printf %s%s "$2" "$3" >&2; }; '
_ANSWER = (
    f"{_TELL}"
    'm "$@"; exec 3<&0; sh -c "$(printf %b "$1")" <&3 3<&- & p=$!; exec 3<&-; '
    # who ends this shell means the command: adbd hangs up on the process that it started, and on no other
    'trap "kill -s HUP $p 2>/dev/null" HUP TERM; wait $p; c=$?; m "$@"; exit $c'
)
_SPEECH = f'{_TELL}m "$@"; exec sh -c "$(printf %b "$1")"'
_SAID = 3


@dataclass(frozen=True)
class Marked:
    """A command for a login shell, and the mark that its answer lies behind.

    Attributes:
        line: what the login shell is given.
        mark: bytes on stdout and stderr before what the command says there, and after it where it was ``asked``.
    """

    line: str
    mark: bytes

    def outcome(self, code: int, out: bytes, err: bytes) -> Outcome | None:
        """What the command itself left; None where the login shell did not run it, or something cut its answer off.

        A command that was ended by a signal, together with the shell that would have told its end, has no second mark.
        """
        begun, payload, ended = self._between(out)
        if not begun or not (ended or code > 128):
            return None
        _, words, _ = self._between(err)
        return Outcome(code, _text(payload), _text(words))

    def refusal(self, code: int, out: bytes, err: bytes) -> str:
        """Why there is no outcome, in the words of what answered instead."""
        begun, payload, _ = self._between(out)
        said = [line.strip() for line in _text(err or payload or out).splitlines() if line.strip()][-_SAID:]
        words = "; ".join(said) or f"it ended with {code} and said nothing"
        if begun:
            return f"the end of an answer is missing ({words})"
        return (
            f"its login shell does not run `sh -c` ({words}). Log in there by hand and look: start-up files may print, "
            "but must not end the shell, and `sh` has to be on its PATH"
        )

    def payload(self, out: bytes) -> bytes:
        """The bytes between the marks."""
        return self._between(out)[1]

    def _between(self, data: bytes) -> tuple[bool, bytes, bool]:
        _, begun, rest = data.partition(self.mark)
        payload, ended, _ = rest.partition(self.mark)
        return bool(begun), payload, bool(ended)


def asked(command: str) -> Marked:
    """A command for a POSIX shell that runs to its end; what it says is between two marks."""
    return _marked(_ANSWER, command)


def spoken(command: str) -> Marked:
    """A command that takes the place of its shell; what it says stands behind one mark."""
    return _marked(_SPEECH, command)


def _marked(script: str, command: str) -> Marked:
    halves = secrets.token_hex(8), secrets.token_hex(8)
    line = f"exec sh -c '{script}' sh '{_escaped(command)}' {halves[0]} {halves[1]}"
    return Marked(line, "".join(halves).encode())


def _escaped(text: str) -> str:
    """For ``printf %b``: nothing is left that shells read differently between single quotes."""
    return "".join(c if c in _PLAIN else "".join(f"\\0{byte:03o}" for byte in c.encode()) for c in text)


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")
