"""The voice of a command on a board: ``python -m clearport.runtime.devices.ssh.bridge ACCESS COMMAND``.

Bytes go from stdin to the command and from the command to stdout and stderr, as they are, no faster than they are
read. When this process ends, however it ends, its connection closes and the command's input hangs up. It ends with the
command's exit code, or with 128 plus the number of the signal that ended it.
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
    """Run until the command ends, or until nobody is left to read what it says."""
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
    """Stdin to the command. The end of it is the end of the command's input; soon after, the command has to end."""
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
    """What the command says, to a descriptor of ours, in a thread that may wait for the reader."""
    while chunk := await read(_CHUNK):
        await asyncio.to_thread(_write, descriptor, chunk)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def exit_code(status: int | None, ended_by: tuple[str, bool, str, str] | None) -> int:
    """As a shell tells it: SSH names the signal that ended a command (``KILL``) instead of giving a status."""
    if ended_by is None:
        return FAILED if status is None else status
    number = getattr(signal, f"SIG{ended_by[0]}", None)
    return FAILED if number is None else 128 + int(number)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # a thread may still wait for a reader that does not come
