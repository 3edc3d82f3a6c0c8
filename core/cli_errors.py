"""What the shell sees when something goes wrong: one message on standard error and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def guarded(command: Callable[..., Any]) -> NoReturn:
    """Run the command line and leave with its exit code.

    SIGTERM unwinds like Ctrl-C, so that subprocesses end and partial files vanish. A reader that closes our
    output early (``| head``) is not an error.
    """
    from clearport.base import ClearportError

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = command(standalone_mode=False)
    except ClearportError as error:
        _say(f"error: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (Exception, SystemExit) as error:  # nothing of ours exits from within: a library that does has failed
        code = _usage_error(error)
    if code == INTERRUPTED:
        _say("interrupted: nothing half-written was left behind")
    sys.exit(code if isinstance(code, int) else 0)


def _usage_error(error: BaseException) -> int:
    """Errors of the option parser show themselves; anything else is a defect: a message that names its log."""
    from clearport import problems

    show = getattr(error, "show", None)
    if show is None:
        _say(f"error: {problems.told(error, 'the command')}")
        return problems.EXIT_CODE
    show()
    return int(getattr(error, "exit_code", 2))


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
