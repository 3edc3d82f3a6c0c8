"""Unexpected exceptions: the user reads one line, and the traceback goes to a log file that the line names.

Logs are in ``$XDG_STATE_HOME/clearport/problems`` (``~/.local/state/clearport/problems`` where that is unset), or in
the folder for temporary files where that cannot be written. ``KEPT`` of them are kept. ``CLEARPORT_DEBUG=1`` prints
each traceback to standard error as well.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from clearport.errors import ClearportError

UNEXPECTED = (Exception, SystemExit)
"""Exceptions of one target, runtime or reader that do not end the whole command. MemoryError and RecursionError are
among them: what was allocated is free again once they are caught. SystemExit is a library that gives up.
KeyboardInterrupt is not among them: the user or the system wants everything to end."""

KEPT = 50
"""Logs that are kept; the oldest are removed."""

EXIT_CODE = 2
"""Exit code of a command that an unexpected exception ends: nothing was judged, so it must differ from a failed
check's.
"""

OUTER = "CLEARPORT_OUTER_TMPDIR"
"""Environment variable with the parent of the command's own temporary folder, which outlives the command."""

_SUFFIX = ".log"


def told(error: BaseException, during: str = "") -> str:
    """The message of an error. Where it is unexpected, its traceback is logged, and the message names the log.

    ``during`` names the activity for the log, such as ``writing tflite/int8``.
    """
    if isinstance(error, ClearportError):
        return str(error)
    words = _words(error)
    name = f"{type(error).__name__}{': ' if words else ''}{words}"
    return f"unexpected {name} ({logged(_trace(error), during)})"


def _words(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return str(error) or "there is not enough memory"
    try:
        return str(error).strip()
    except Exception:  # a library's exception that cannot even be printed
        return ""


def logged(trace: str, during: str = "") -> str:
    """Write a traceback to a log; ``traceback: PATH``, or why there is none."""
    if os.environ.get("CLEARPORT_DEBUG", "") not in {"", "0"}:
        sys.stderr.write(f"{during or 'clearport'}:\n{trace}")
    text = f"{_circumstances(during)}\n{trace}"
    for folder in _folders():
        with suppress(OSError):
            return f"traceback: {_shown(_written(folder, text))}"
    return "no log of it could be written; CLEARPORT_DEBUG=1 prints the traceback"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # one that cannot be formatted must not hide what happened
        return f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__name__}\n"


def _circumstances(during: str) -> str:
    from clearport import __version__

    return "\n".join(
        (
            f"clearport {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}",
            f"command: {' '.join(sys.argv)}",
            f"during: {during or 'not told'}",
        )
    )


def _folders() -> list[Path]:
    state = os.environ.get("XDG_STATE_HOME", "")
    place = Path(state) if Path(state).is_absolute() else Path("~/.local/state").expanduser()
    return [
        place / "clearport" / "problems",
        Path(os.environ.get(OUTER) or tempfile.gettempdir(), f"clearport-problems-{_user()}"),
    ]


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _written(folder: Path, text: str) -> Path:
    """Create a log in ``folder``, readable by its owner only; delete the oldest logs beyond ``KEPT``."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    handle, name = tempfile.mkstemp(_SUFFIX, f"{stamp}-", folder)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    for old in sorted(folder.glob(f"*{_SUFFIX}"))[:-KEPT]:
        with suppress(OSError):  # another process was faster
            old.unlink()
    return Path(name)


def _shown(path: Path) -> str:
    """With ``~`` for the home folder: messages go into manifests and records."""
    with suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    return str(path)
