"""Linux boards over SSH: ``ssh:[user@]host[:port]``.

Requirements: an SSH server that accepts the user's key, ``sh`` (the login shell may be another, and may print), and
Python with numpy and a runtime. Files are in ``~/.cache/clearport`` while a command runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec

from clearport.errors import NotInstalled
from clearport.registry import installed_versions
from clearport.runtime.devices.device import UNITS, DeviceLost, DeviceSession, Found, Settings

LIBRARY = "asyncssh"
_FOLDER = 'printf %s "${XDG_CACHE_HOME:-$HOME/.cache}/clearport"'


class SshDevice:
    """See ``clearport.runtime.devices.device.Device``."""

    name = "ssh"
    title = "Linux boards over SSH"

    def found(self) -> Sequence[Found]:
        """One entry that explains the address: SSH hosts cannot be listed."""
        parts = {name: version for name, version in installed_versions((LIBRARY,)).items() if version}
        obstacle = None if parts else str(NotInstalled(LIBRARY, self.name))
        return [
            Found("ssh:USER@HOST[:PORT]", "a Linux board that you can log in to with a key", UNITS, parts, obstacle)
        ]

    def check(self, address: str, settings: Settings) -> None:
        self._library()
        from clearport.runtime.devices.ssh.access import Access

        Access.of(address, settings)

    def open(self, address: str, settings: Settings) -> AbstractContextManager[DeviceSession]:
        self._library()
        return _session(address, settings)

    def _library(self) -> None:
        if find_spec(LIBRARY) is None:
            raise NotInstalled(LIBRARY, self.name)


@contextmanager
def _session(address: str, settings: Settings) -> Iterator[DeviceSession]:
    from clearport.runtime.devices.remote.session import RemoteSession
    from clearport.runtime.devices.remote.stage import QUICK_S, Stage
    from clearport.runtime.devices.ssh.access import Access
    from clearport.runtime.devices.ssh.shell import SshShell

    with SshShell(Access.of(address, settings), settings.timeout_s) as shell:
        told = shell.run(_FOLDER, QUICK_S)
        if not told.out.startswith("/"):
            raise DeviceLost(f"{address}: its shell does not name a home folder: {told.words}")
        with Stage(shell, told.out) as stage:
            yield RemoteSession(shell, stage, settings)


DEVICE = SshDevice()
