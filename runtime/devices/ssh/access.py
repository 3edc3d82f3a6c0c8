"""Opens SSH connections: host keys, the user's identities, and explanations of errors.

A host's key must be pinned in a known_hosts file. An unknown or changed key is refused with its fingerprint and a
remedy; keys are never added automatically.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import asyncssh

from clearport.errors import BadInput, ClearportError
from clearport.runtime.devices.device import DeviceLost, Settings

CONNECT_S = 10
KEEPALIVE_S = 4
"""Seconds between keepalive requests to a silent device; after three without an answer it is lost."""

EXPECTED = "ssh:[USER@]HOST[:PORT], as in ssh:pi@raspberrypi.local or ssh:root@[fe80::1]:2222"

_MISSED = 3
_ADDRESS = re.compile(
    r"ssh:(?:(?P<user>[^@:/\s]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@:/\[\]\s-][^@:/\[\]\s]*)(?::(?P<port>\d{1,5}))?"
)
_USUAL = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))


@dataclass(frozen=True)
class Access:
    """A board and how to log in; None: the user's SSH configuration, otherwise SSH's default."""

    address: str
    host: str
    user: str | None
    port: int | None
    identity: str | None
    known_hosts: str | None

    @classmethod
    def of(cls, address: str, settings: Settings) -> Self:
        """Parse ``ssh:[user@]host[:port]``; an IPv6 address is in brackets.

        Raises:
            BadInput: invalid address, or a file of the settings is missing.
        """
        match = _ADDRESS.fullmatch(address)
        port = int(match["port"]) if match and match["port"] else None
        if match is None or port == 0 or (port or 0) > 65535:
            raise BadInput(f"--device {address}: expected {EXPECTED}")
        for path in (settings.identity, settings.known_hosts):
            if path is not None and not path.is_file():
                raise BadInput(f"{path}: no such file")
        identity, known = (str(p.absolute()) if p else None for p in (settings.identity, settings.known_hosts))
        return cls(address, match["host"].strip("[]"), match["user"], port, identity, known)

    def to_json(self) -> str:
        """For ``ssh.bridge``."""
        return json.dumps(asdict(self))


async def connect(access: Access) -> asyncssh.SSHClientConnection:
    """An open connection.

    Raises:
        BadInput: the host's key is not trusted, or the user's is not accepted.
        DeviceLost: the board does not answer.
    """
    witness = _Witness()
    try:
        return await _patiently(access, witness)
    except asyncssh.HostKeyNotVerifiable as error:
        raise _distrust(access, witness, str(error)) from error
    except asyncssh.PermissionDenied as error:
        raise BadInput(_denied(access)) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise BadInput(_unreadable(access, error)) from error
    except asyncssh.ConfigParseError as error:
        raise BadInput(f"{access.address}: your SSH configuration cannot be read: {error}") from error
    except (OSError, TimeoutError, asyncssh.Error) as error:
        why = f"{access.address} does not answer ({_said(error)}): is it on, and is this its name?"
        raise DeviceLost(why) from error


async def _patiently(access: Access, witness: _Witness) -> asyncssh.SSHClientConnection:
    """A connection; up to three attempts, the last one with any type of host key.

    At first only pinned key types are offered. A host without them disconnects; offered any type, it presents its key,
    which is then refused with its fingerprint.
    """
    for _ in range(2):
        with contextlib.suppress(asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError):
            return await _connect(access, witness)
    return await _connect(access, witness, server_host_key_algs="default")


async def _connect(access: Access, witness: _Witness, **more: Any) -> asyncssh.SSHClientConnection:
    chosen: dict[str, Any] = {"username": access.user, "port": access.port}
    if access.identity is not None:
        chosen |= {"client_keys": [access.identity], "agent_path": None}
    return await asyncssh.connect(
        access.host,
        client_factory=lambda: witness,
        known_hosts=_known_hosts(access),
        preferred_auth="publickey",
        compression_algs=["none"],  # pictures hardly compress, and compression would burden the board
        keepalive_interval=KEEPALIVE_S,
        keepalive_count_max=_MISSED,
        connect_timeout=CONNECT_S,
        login_timeout=2 * CONNECT_S,
        **{name: value for name, value in chosen.items() if value is not None or name == "agent_path"},
        **more,
    )


class _Witness(asyncssh.SSHClient):
    """Records the key of an unknown host, without trusting it."""

    def __init__(self) -> None:
        self.key: asyncssh.SSHKey | None = None
        self.place = ("", "", 22)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.key, self.place = key, (host, addr, port)
        return False


def _known_hosts(access: Access) -> asyncssh.SSHKnownHosts:
    """The pinned keys. Never None, which would make asyncssh trust every key.

    Raises:
        BadInput: a file cannot be read.
    """
    text = []
    for path in _files(access):
        try:
            text.append(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{path}: the known hosts cannot be read: {error}") from error
    try:
        return asyncssh.import_known_hosts("\n".join(text))
    except (ValueError, asyncssh.Error) as error:
        raise BadInput(f"{', '.join(map(str, _files(access)))}: the known hosts cannot be read: {error}") from error


def _files(access: Access) -> list[Path]:
    if access.known_hosts is not None:
        return [Path(access.known_hosts)]
    return [path for path in (p.expanduser() for p in _USUAL) if path.is_file()]


def _distrust(access: Access, witness: _Witness, said: str) -> ClearportError:
    """The error for a refused host key, with a remedy."""
    if witness.key is None:  # revoked, or a certificate: no fingerprint to compare
        return BadInput(f"{access.address}: the host's key is refused: {said}")
    host, addr, port = witness.place
    pinned = asyncssh.match_known_hosts(_known_hosts(access), host, addr, None if port == 22 else port)[0]
    kind, fingerprint = witness.key.get_algorithm(), witness.key.get_fingerprint()
    file = access.known_hosts or "~/.ssh/known_hosts"
    name = host if port == 22 else f"[{host}]:{port}"
    shown = f"the board shows the key {kind} {fingerprint}"
    compare = "Compare on the board: for f in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $f; done"
    line = f"{name} {witness.key.export_public_key().decode().strip()}"
    add = f"echo '{line}' >> {file}"
    if pinned:
        known = ", ".join(f"{key.get_algorithm()} {key.get_fingerprint()}" for key in pinned)
        return BadInput(
            f"{access.address}: THE HOST'S KEY HAS CHANGED. {shown}, and {file} has {known}. Either the board was set "
            f"up anew, or something else answers in its place. {compare}. Only if they are equal: "
            f"ssh-keygen -f {file} -R '{name}', then {add}"
        )
    return BadInput(
        f"{access.address}: the host's key is not known: {shown}, which is not in {file}. {compare}. "
        f"If they are equal, add it: {add}"
    )


def _denied(access: Access) -> str:
    shown = access.identity or "those of your SSH agent and of ~/.ssh"
    target = f"{access.user}@{access.host}" if access.user else access.host
    port = f"-p {access.port} " if access.port else ""
    public = f"-i {access.identity} " if access.identity else ""
    return (
        f"{access.address}: the board accepts none of your keys ({shown}), and clearport does not use passwords. To "
        f"authorize your key: ssh-copy-id {public}{port}{target}"
    )


def _unreadable(access: Access, error: Exception) -> str:
    return (
        f"{access.address}: the private key {access.identity or ''} cannot be used ({error}). A key with a passphrase "
        "works through the agent: run ssh-add, and omit --identity"
    )


def _said(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__
