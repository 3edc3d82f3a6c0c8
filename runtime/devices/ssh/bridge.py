"""Forwards to a command on a board: ``python -m clearport.runtime.devices.ssh.bridge ACCESS COMMAND``.

stdin, stdout and stderr are passed through unchanged, with backpressure. When this process ends for any reason, its
connection closes and the command's input hangs up. Its exit code is the command's, or 128 plus the number of the signal
that ended it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import asyncssh

from clearport.errors import ClearportError
from clearport.runtime.devices.ssh.access import Access, connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_CHUNK = 1 << 18
_GRACE_S = 10.0
FAILED = 255


def main() -> int:
    """Run until the command ends or its output is no longer read; returns the exit code."""
    access, command = Access(**json.loads(sys.argv[1])), sys.argv[2]
    try:
        return asyncio.run(_bridge(access, command))
    except ClearportError as error:
        return _fail(str(error))
    except (OSError, asyncssh.Error) as error:
        return _fail(f"{access.address}: the connection broke: {error}")


def _fail(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return FAILED


async def _bridge(access: Access, command: str) -> int:
    async with await connect(access) as connection:
        process = await connection.create_process(command, encoding=None)
        listening = asyncio.create_task(_feed(process))
        await asyncio.gather(_tell(process.stdout.read, 1), _tell(process.stderr.read, 2))
        done = await process.wait()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
    if done.exit_status is None and done.exit_signal is None:
        raise asyncssh.ConnectionLost("it ended before the command did")
    return exit_code(done.exit_status, done.exit_signal)


async def _feed(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """Forward stdin to the command. Its end is the end of the command's input; the command must exit soon after."""
    reader = asyncio.StreamReader(_CHUNK)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while chunk := await reader.read(_CHUNK):
        process.stdin.write(chunk)
        await process.stdin.drain()
    process.stdin.write_eof()
    await asyncio.sleep(_GRACE_S)
    process.close()


async def _tell(read: Callable[[int], Awaitable[bytes]], descriptor: int) -> None:
    """Forward the command's output to a local descriptor, in a thread that may block on the reader."""
    while chunk := await read(_CHUNK):
        await asyncio.to_thread(_write, descriptor, chunk)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def exit_code(status: int | None, ended_by: tuple[str, bool, str, str] | None) -> int:
    """A shell's exit code: SSH reports the name of the signal that ended a command (``KILL``) instead of a status."""
    if ended_by is None:
        return FAILED if status is None else status
    number = getattr(signal, f"SIG{ended_by[0]}", None)
    return FAILED if number is None else 128 + int(number)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # a thread may still block on the reader
