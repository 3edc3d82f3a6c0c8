"""Error reporting: one message on standard error and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from clearport.signals import interruptible

BAD_INPUT = 2
INTERRUPTED = 130


@contextmanager
def _own_scratch() -> Iterator[None]:
    """Put temporary files of this process and its libraries into one folder, which the next run can clean up."""
    from clearport.disk.leftovers import Scratch
    from clearport.problems import OUTER

    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        scratch = Scratch("run")
    except OSError:  # the first user of a temporary file reports the problem
        yield
        return
    os.environ[OUTER] = tempfile.gettempdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(scratch.folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"], os.environ[OUTER]
        if variable is not None:
            os.environ["TMPDIR"] = variable
        scratch.close()


def _any_terminal() -> None:
    """Print characters that the terminal cannot show as question marks, never as an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def guarded(command: Callable[..., Any]) -> NoReturn:
    """Run the command line and exit with its code.

    SIGTERM, SIGHUP and SIGQUIT unwind like Ctrl-C, so that subprocesses end and partial files vanish. A reader that
    closes our output early (``| head``) is not an error.
    """
    _any_terminal()
    began_s = time.time()
    with interruptible(), _own_scratch():
        code, said = _code_of(command)
        if code == BAD_INPUT:
            _mark_stale(sys.argv[1:], said, began_s)
    sys.exit(code)


def _mark_stale(words: Sequence[str], said: str, began_s: float) -> None:
    """If a run ended before it claimed its outputs, CI must not read an earlier run's outputs as its result."""
    options = {"eval": ("--junit",), "bench": ("--json", "--junit")}.get(words[0] if words else "", ())
    for word, after in pairwise([*words, ""]):
        name, _, value = word.partition("=")
        path = Path(value or after)
        if name not in options or (name == "--json" and "--resume" in words):
            continue
        if not os.path.isfile(path) or os.path.getmtime(path) > began_s:  # noqa: PTH113, PTH204  raise nothing
            continue
        if name == "--junit":
            from clearport.reports.junit import note_failure
        else:
            from clearport.bundle.bench_file import note_failure
        note_failure(path, said)


def _code_of(command: Callable[..., Any]) -> tuple[int, str]:
    """The exit code and the error message, if any."""
    from clearport.errors import ClearportError

    said = ""
    try:
        code = command(standalone_mode=False)
        sys.stdout.flush()
    except ClearportError as error:
        said = str(error)
        _say(f"error: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        code = 0
    except OSError as error:
        code, said = _system_error(error), str(error)
    except (Exception, SystemExit) as error:  # our own code never calls exit: a library that does has failed
        if isinstance(error.__context__, BrokenPipeError):  # rich leaves in this way
            _drop_output()
            code = 0
        else:
            code, said = _usage_error(error), str(error)
    if code == INTERRUPTED:
        _say("interrupted: no half-written files were left")
    return code if isinstance(code, int) else 0, said


def _system_error(error: OSError) -> int:
    """Report an operating-system error that no caller handled."""
    from clearport.disk.files import advice

    if (why := advice(error)) is None:
        code = _usage_error(error)
    else:
        _say(f"error: {error.filename}: {why}" if error.filename is not None else f"error: {why}")
        code = BAD_INPUT
    try:
        sys.stdout.flush()
    except OSError:  # our own output could not be written
        _drop_output()
    return code


def _drop_output() -> None:
    """Redirect standard output: Python would fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_error(error: BaseException) -> int:
    """The option parser reports its own errors; anything else is a bug, with a message that names its log."""
    from clearport import problems

    show = getattr(error, "show", None)
    if show is None:
        _say(f"error: {problems.told(error, 'the command')}")
        return problems.EXIT_CODE
    show()
    return int(getattr(error, "exit_code", 2))


def _say(message: str) -> None:
    with suppress(OSError):  # the terminal may be closed
        sys.stderr.write(f"{message}\n")
