"""A board over SSH as a ``Shell``: one connection for commands and files, and one per worker."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future
from shlex import quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import asyncssh

from clearport.errors import RuntimeFailure
from clearport.runtime.devices.device import DeviceLost
from clearport.runtime.devices.remote.answer import Marked, asked, spoken
from clearport.runtime.devices.remote.shell import Outcome, Voice
from clearport.runtime.devices.ssh.access import connect
from clearport.runtime.devices.ssh.bridge import exit_code

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from clearport.runtime.devices.ssh.access import Access

_GRACE_S = 10.0
_T = TypeVar("_T")
_Said = tuple[int, bytes, bytes]
"""Exit code, stdout and stderr."""


class SshShell:
    """See ``clearport.runtime.devices.remote.shell.Shell``; use it as a context manager.

    asyncssh runs in its own thread, so that keepalives and the detection of a lost connection continue while the caller
    is busy. Files are copied by ``cat``: small boards lack SFTP, and its error messages are clear.
    """

    def __init__(self, access: Access, timeout_s: float) -> None:
        self.address = access.address
        self._access, self._timeout_s = access, timeout_s
        self._thread = threading.Thread(target=self._serve, name=access.address, daemon=True)
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._why: str | None = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            BadInput: the host's key is not trusted, or the user's is not accepted.
            DeviceLost: the board does not answer.
        """
        self._thread.start()
        self._loop = self._ready.result()
        try:
            self._connection = self._call(connect(self._access))
        except BaseException:
            self._leave()
            raise
        self._watcher = asyncio.run_coroutine_threadsafe(self._watch(self._connection), self._loop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._connection is not None:
            self._loop.call_soon_threadsafe(self._connection.abort)
            self._watcher.result(_GRACE_S)
        self._leave()

    def _serve(self) -> None:
        """The thread's main: runs asyncio until ``_leave``, then ends everything still open."""

        async def wait() -> None:
            self._left = asyncio.Event()
            self._ready.set_result(asyncio.get_running_loop())
            await self._left.wait()

        asyncio.run(wait())

    def _leave(self) -> None:
        self._loop.call_soon_threadsafe(self._left.set)
        self._thread.join(_GRACE_S)

    def run(self, command: str, timeout_s: float) -> Outcome:
        told = asked(command)
        return self._outcome(told, self._ask(self._run(told), timeout_s, command))

    def push(self, local: Path, remote: str) -> None:
        self._copy(f"cat > {quote(remote)}", local.name, stdin=local)

    def pull(self, remote: str, local: Path) -> None:
        local.write_bytes(self._copy(f"cat {quote(remote)}", remote))

    def speak(self, command: str) -> Voice:
        told = spoken(command)
        bridge = ("clearport.runtime.devices.ssh.bridge", self._access.to_json(), told.line)
        return Voice((sys.executable, "-P", "-m", *bridge), told.mark)

    def lost(self) -> str | None:
        return self._why

    async def _watch(self, connection: asyncssh.SSHClientConnection) -> None:
        try:
            await connection.wait_closed()
        finally:
            self._why = f"{self.address}: the connection broke: the board was switched off, unplugged, or went to sleep"

    async def _run(self, told: Marked, **streams: Any) -> _Said:
        done = await self._live().run(told.line, **{"stdin": asyncssh.DEVNULL, **streams}, encoding=None)
        if done.exit_status is None and done.exit_signal is None:
            raise asyncssh.ConnectionLost("the connection closed during a command")
        return exit_code(done.exit_status, done.exit_signal), _bytes(done.stdout), _bytes(done.stderr)

    def _copy(self, command: str, name: str, **streams: Any) -> bytes:
        """Run a command that copies a file; returns its stdout."""
        told = asked(command)
        said = self._ask(self._run(told, **streams), self._timeout_s, name)
        done = self._outcome(told, said)
        if done.code:
            raise RuntimeFailure(f"{self.address}: {name} cannot be copied: {done.words}")
        return told.payload(said[1])

    def _outcome(self, told: Marked, said: _Said) -> Outcome:
        done = told.outcome(*said)
        if done is None:
            raise DeviceLost(f"{self.address}: {told.refusal(*said)}")
        return done

    def _live(self) -> asyncssh.SSHClientConnection:
        if self._connection is None or self._why is not None:
            raise DeviceLost(self._why or f"{self.address} is not connected")
        return self._connection

    def _ask(self, task: Coroutine[Any, Any, _T], timeout_s: float, what: str) -> _T:
        """Await a task of the connection, with its errors converted to clearport's."""
        try:
            return self._call(asyncio.wait_for(task, timeout_s))
        except TimeoutError as error:
            raise RuntimeFailure(f"{self.address}: no answer within {timeout_s:g} s ({what})") from error
        except (asyncssh.DisconnectError, OSError) as error:
            raise DeviceLost(self._why or f"{self.address}: the connection broke ({error})") from error
        except asyncssh.Error as error:
            if self._why is not None:
                raise DeviceLost(self._why) from error
            raise RuntimeFailure(f"{self.address}: {error} ({what})") from error

    def _call(self, task: Coroutine[Any, Any, _T]) -> _T:
        future: Future[_T] = asyncio.run_coroutine_threadsafe(task, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def _bytes(data: str | bytes | None) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""
