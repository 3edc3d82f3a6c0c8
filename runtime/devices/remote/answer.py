"""Commands that work in any login shell, and separation of their output from anything else that is printed.

``sshd`` and ``adbd`` pass a command to the user's login shell. That may be fish, tcsh or zsh, which parse quotes and
variables differently, and its start-up files may print. Hence the login shell receives one line that all shells parse
alike, ``exec sh -c '...' sh '...'``; a POSIX shell then runs the command and writes a mark before and after its output,
on both streams. The marks are random and assembled there: a login shell that echoes its command line (``set -x``) does
not print them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from clearport.runtime.devices.remote.shell import Outcome

_PLAIN = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-+=.,:;/@%^#&|<>(){}[]?*~"$`')
"""Characters that all shells keep literally in single quotes: all but ``'``, ``\\``, ``!`` (tcsh) and line ends."""

_TELL = 'm() { printf %s%s "$2" "$3"; printf %s%s "$2" "$3" >&2; }; '
_ANSWER = (
    f"{_TELL}"
    'm "$@"; exec 3<&0; sh -c "$(printf %b "$1")" <&3 3<&- & p=$!; exec 3<&-; '
    # signals to this shell are meant for the command: adbd hangs up only on the process that it started
    'trap "kill -s HUP $p 2>/dev/null" HUP TERM; wait $p; c=$?; m "$@"; exit $c'
)
_SPEECH = f'{_TELL}m "$@"; exec sh -c "$(printf %b "$1")"'
_SAID = 3


@dataclass(frozen=True)
class Marked:
    """A command for a login shell, and the mark that precedes its output.

    Attributes:
        line: the login shell's command line.
        mark: bytes on stdout and stderr before the command's output, and after it for ``asked`` commands.
    """

    line: str
    mark: bytes

    def outcome(self, code: int, out: bytes, err: bytes) -> Outcome | None:
        """The command's own outcome; None if the login shell did not run it, or its output is truncated.

        If a signal ended the command together with its shell, there is no second mark.
        """
        begun, payload, ended = self._between(out)
        if not begun or not (ended or code > 128):
            return None
        _, words, _ = self._between(err)
        return Outcome(code, _text(payload), _text(words))

    def refusal(self, code: int, out: bytes, err: bytes) -> str:
        """The reason that there is no outcome, quoting the output."""
        begun, payload, _ = self._between(out)
        said = [line.strip() for line in _text(err or payload or out).splitlines() if line.strip()][-_SAID:]
        words = "; ".join(said) or f"it exited with code {code} without output"
        if begun:
            return f"the output is truncated ({words})"
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
    """A command for a POSIX shell that runs to completion; its output is between two marks."""
    return _marked(_ANSWER, command)


def spoken(command: str) -> Marked:
    """A command that replaces its shell; its output follows one mark."""
    return _marked(_SPEECH, command)


def _marked(script: str, command: str) -> Marked:
    halves = secrets.token_hex(8), secrets.token_hex(8)
    line = f"exec sh -c '{script}' sh '{_escaped(command)}' {halves[0]} {halves[1]}"
    return Marked(line, "".join(halves).encode())


def _escaped(text: str) -> str:
    """Escaped for ``printf %b``, without characters that shells parse differently in single quotes."""
    return "".join(c if c in _PLAIN else "".join(f"\\0{byte:03o}" for byte in c.encode()) for c in text)


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")
